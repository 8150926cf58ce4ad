//! Signed assertions, made with keys of their own.

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use sha2::{Digest, Sha256};

use super::*;

/// A key and certificates of it.
struct Keys {
    signs: EncodingKey,
    public: String,
    certificate: rcgen::Certificate,
    /// It was over in 2001.
    old: rcgen::Certificate,
}

impl Keys {
    fn make() -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let params = CertificateParams::new(["presenced".to_owned()]).unwrap();
        let mut old = params.clone();
        old.not_after = rcgen::date_time_ymd(2001, 1, 1);
        Self {
            signs: EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(),
            certificate: params.self_signed(&pair).unwrap(),
            old: old.self_signed(&pair).unwrap(),
            public: pair.public_key_pem(),
        }
    }

    /// The registered ones. Keys take a while.
    fn ours() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(Self::make)
    }

    fn others() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(Self::make)
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.signs).unwrap()
    }
}

fn sha256(certificate: &rcgen::Certificate) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der()))
}

/// The header of an assertion that is signed with our certificate's key.
fn header() -> Header {
    let thumbprint = Some(sha256(&Keys::ours().certificate));
    Header { x5t_s256: thumbprint, ..Header::new(Algorithm::PS256) }
}

/// The claims of one that is good now; `jti` must differ from one to the next.
fn claims(jti: &str) -> Value {
    json!({
        "aud": format!("https://{ENDPOINT}"), "iss": CLIENT, "sub": CLIENT, "jti": jti,
        "nbf": UNIX, "iat": UNIX, "exp": UNIX + 600,
    })
}

fn with(jti: &str, name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims(jti);
    claims[name] = value.into();
    claims
}

fn registered() -> Bench {
    let keys = Keys::ours();
    Bench::with(&json!({"certificates": [keys.certificate.pem(), keys.old.pem()]}))
}

#[test]
fn an_assertion_of_a_registered_certificate_is_good_once() {
    let mut t = registered();
    let ours = Keys::ours();
    let assertion = ours.sign(&header(), &claims("1"));
    assert_eq!(t.assertion(assertion.clone()), Ok(()));
    assert_eq!(t.assertion(assertion), Err(50_013), "replayed");
    assert_eq!(t.assertion(ours.sign(&header(), &claims("2"))), Ok(()));
    assert_eq!(t.secret("right"), Err(7_000_215), "it has no secret");
}

#[test]
fn the_older_form_is_taken_too() {
    let mut t = registered();
    let ours = Keys::ours();
    let sha1 =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, ours.certificate.der());
    let old = Header { x5t: Some(BASE64_URL_SAFE_NO_PAD.encode(sha1)), ..Header::new(Algorithm::RS256) };
    assert_eq!(t.assertion(ours.sign(&old, &claims("1"))), Ok(()));
    let padded = BASE64_STANDARD.encode(Sha256::digest(ours.certificate.der()));
    let padded = Header { x5t_s256: Some(padded), ..header() };
    assert_eq!(t.assertion(ours.sign(&padded, &claims("2"))), Ok(()), "the other alphabet of base64");
}

#[test]
fn a_certificate_that_is_unknown_over_or_not_the_signers_is_refused() {
    let mut t = registered();
    let (ours, others) = (Keys::ours(), Keys::others());
    let theirs = Header { x5t_s256: Some(sha256(&others.certificate)), ..header() };
    assert_eq!(t.assertion(others.sign(&theirs, &claims("1"))), Err(700_027), "unknown");
    assert_eq!(t.assertion(others.sign(&header(), &claims("1"))), Err(700_027), "another's signature");
    let old = Header { x5t_s256: Some(sha256(&ours.old)), ..header() };
    assert_eq!(t.assertion(ours.sign(&old, &claims("1"))), Err(700_027), "over");
    let none = Header { x5t_s256: None, ..header() };
    assert_eq!(t.assertion(ours.sign(&none, &claims("1"))), Err(5_002_723), "no thumbprint");
    let good = ours.sign(&header(), &claims("1"));
    let other = ours.sign(&header(), &claims("2"));
    let parts: Vec<&str> = good.split('.').collect();
    let mixed = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
    assert_eq!(t.assertion(mixed), Err(700_027), "other claims than those that were signed");
    assert_eq!(t.assertion(good), Ok(()), "none of it has used it up");
}

#[test]
fn an_assertion_is_for_this_endpoint_by_this_app() {
    let mut t = registered();
    let mut code = |claims: &Value| t.assertion(Keys::ours().sign(&header(), claims));
    assert_eq!(
        code(&with("1", "aud", "https://login.microsoftonline.com/x/oauth2/v2.0/token")),
        Err(700_023)
    );
    assert_eq!(code(&with("1", "aud", format!("https://{ENDPOINT}/"))), Err(700_023));
    assert_eq!(code(&with("1", "iss", USER.to_string())), Err(700_021));
    assert_eq!(code(&with("1", "sub", USER.to_string())), Err(700_021));
    assert_eq!(code(&with("1", "jti", "")), Err(50_027));
    assert_eq!(code(&with("1", "aud", json!([format!("http://{ENDPOINT}")]))), Ok(()));
}

#[test]
fn an_assertion_has_its_time_and_five_minutes_on_either_side() {
    let mut t = registered();
    let mut code =
        |jti: &str, name: &str, at: u64| t.assertion(Keys::ours().sign(&header(), &with(jti, name, at)));
    assert_eq!(code("1", "exp", UNIX - 300), Err(700_024));
    assert_eq!(code("2", "exp", UNIX - 299), Ok(()));
    assert_eq!(code("3", "nbf", UNIX + 301), Err(700_024));
    assert_eq!(code("4", "nbf", UNIX + 300), Ok(()));
    assert_eq!(code("5", "exp", UNIX + 901), Err(700_024), "longer than is allowed");
    assert_eq!(code("6", "exp", UNIX + 900), Ok(()));
    let mut endless = claims("7");
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(t.assertion(Keys::ours().sign(&header(), &endless)), Err(50_027));
}

#[test]
fn with_nothing_registered_form_claims_and_time_count_all_the_same() {
    let mut t = Bench::new();
    let others = Keys::others();
    let theirs = Header { x5t_s256: Some(sha256(&others.certificate)), ..header() };
    assert_eq!(t.assertion(others.sign(&theirs, &claims("1"))), Ok(()), "nobody knows any certificate");
    assert_eq!(t.assertion(others.sign(&theirs, &claims("1"))), Err(50_013));
    assert_eq!(t.assertion(others.sign(&theirs, &with("2", "exp", UNIX - 300))), Err(700_024));
    assert_eq!(t.assertion(others.sign(&theirs, &with("2", "sub", "someone"))), Err(700_021));
    assert_eq!(t.assertion("a.b.c".to_owned()), Err(50_027));
    assert_eq!(t.assertion("a.b".to_owned()), Err(50_027));
}

#[test]
fn what_is_remembered_of_used_assertions_is_bounded() {
    let mut t = registered();
    t.authority.used = (0..MANY_USED).map(|n| ((CLIENT, n.to_string()), UNIX + 1)).collect();
    t.wait(2);
    let claims = with("new", "exp", UNIX + 600);
    assert_eq!(t.assertion(Keys::ours().sign(&header(), &claims)), Ok(()));
    assert_eq!(t.authority.used.len(), 1);
}

const ISSUER: &str = "https://oidc.example/cluster";

fn federated() -> Bench {
    Bench::with(&json!({"federated": [{
        "issuer": ISSUER, "subject": "system:serviceaccount:presenced:default", "key": Keys::ours().public,
    }]}))
}

/// The claims of a projected service account token of Kubernetes.
fn projected() -> Value {
    json!({
        "aud": ["api://AzureADTokenExchange"], "iss": ISSUER,
        "sub": "system:serviceaccount:presenced:default", "nbf": UNIX, "iat": UNIX, "exp": UNIX + 3_600,
    })
}

#[test]
fn a_federated_token_is_good_as_often_as_it_comes() {
    let mut t = federated();
    let token = Keys::ours().sign(&Header::new(Algorithm::RS256), &projected());
    assert_eq!([t.assertion(token.clone()), t.assertion(token)], [Ok(()), Ok(())]);
}

#[test]
fn a_federated_token_matches_letter_by_letter() {
    let code = |t: &mut Bench, keys: &Keys, name: &str, value: Value| {
        let mut claims = projected();
        claims[name] = value;
        t.assertion(keys.sign(&Header::new(Algorithm::RS256), &claims))
    };
    let (t, ours) = (&mut federated(), Keys::ours());
    assert_eq!(code(t, ours, "iss", json!("https://oidc.example/cluster/")), Err(700_211));
    assert_eq!(code(t, ours, "aud", json!("api://azureadtokenexchange")), Err(700_212));
    assert_eq!(code(t, ours, "sub", json!("system:serviceaccount:Presenced:default")), Err(700_213));
    assert_eq!(code(t, Keys::others(), "iss", json!(ISSUER)), Err(50_013), "another's signature");
    assert_eq!(code(t, ours, "exp", json!(UNIX - 300)), Err(700_024));
    assert_eq!(code(t, ours, "nbf", json!(UNIX + 301)), Err(700_024));
    let token = ours.sign(&Header::new(Algorithm::PS256), &projected());
    assert_eq!(t.assertion(token), Err(50_027), "Entra ID wants RS256 of issuers");
    assert_eq!(code(&mut registered(), ours, "iss", json!(ISSUER)), Err(70_021), "none is registered");
    assert_eq!(code(&mut Bench::new(), ours, "iss", json!(ISSUER)), Ok(()), "anyone is taken");
}
