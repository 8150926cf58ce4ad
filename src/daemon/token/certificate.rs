//! The way in by certificate: its key signs an assertion that says who the app is.
//!
//! Source: the page "Microsoft identity platform application authentication certificate credentials".

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::Uuid;

use super::Fingerprint;
use super::credential::fingerprint_of;
use super::failure::Class;
use super::grant::Grant;
use super::proof::{NoProof, Proof};
use crate::config::certificate::{self, Certificate};
use crate::config::settings::{App, CertificateFiles};

/// How long an assertion is good. Microsoft's page has five to ten minutes; the longest leaves the most to a clock that is
/// slow.
const LIFE: Duration = Duration::from_secs(600);

/// What an assertion says.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: u64,
    iat: u64,
    exp: u64,
}

/// Reads the certificate, and signs an assertion with its key that begins at `wall`.
pub(super) fn read(app: &App, files: &CertificateFiles, wall: SystemTime) -> Result<Proof, NoProof> {
    let certificate = certificate::read(files).map_err(|error| NoProof {
        class: Class::Fix,
        meaning: error.to_string(),
        advice: format!("{}; it is tried again as soon as the file changes", error.advice()),
    })?;
    // The library's own words may be about the key.
    let assertion = sign(app, &certificate, wall).ok_or_else(|| NoProof {
        class: Class::Fix,
        meaning: "the certificate's key does not sign with PS256".to_owned(),
        advice: "make a certificate with an RSA key of 2,048 bits or more".to_owned(),
    })?;
    Ok(Proof { fingerprint: tell_apart(&certificate), grant: Grant::Assertion(assertion) })
}

/// What tells the certificate and its key from others; `None` when they cannot be read.
pub(super) fn fingerprint(files: &CertificateFiles) -> Option<Fingerprint> {
    certificate::read(files).ok().map(|certificate| tell_apart(&certificate))
}

/// When the certificate is in force first; `None` when it cannot be read.
pub(super) fn begin(files: &CertificateFiles) -> Option<Timestamp> {
    certificate::read(files).ok().map(|certificate| certificate.not_before)
}

/// When the certificate ends; `None` when it cannot be read.
pub(super) fn end(files: &CertificateFiles) -> Option<Timestamp> {
    certificate::read(files).ok().map(|certificate| certificate.not_after)
}

fn tell_apart(certificate: &Certificate) -> Fingerprint {
    let key = certificate.key_pem().expose_secret();
    let mut bytes = Zeroizing::new(Vec::with_capacity(certificate.thumbprint.len() + key.len()));
    bytes.extend_from_slice(&certificate.thumbprint);
    bytes.extend_from_slice(key.as_bytes());
    fingerprint_of(&bytes)
}

fn sign(app: &App, certificate: &Certificate, wall: SystemTime) -> Option<SecretString> {
    let key = EncodingKey::from_rsa_pem(certificate.key_pem().expose_secret().as_bytes()).ok()?;
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(certificate.thumbprint));
    let now = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let client = app.client_id.to_string();
    let claims = Claims {
        aud: &app.token_endpoint(),
        iss: &client,
        sub: &client,
        jti: Uuid::new_v4().to_string(),
        nbf: now.as_secs(),
        iat: now.as_secs(),
        exp: (now + LIFE).as_secs(),
    };
    encode(&header, &claims, &key).ok().map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{self, KeySize};
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::config::settings::Credential;
    use crate::daemon::network::testing;

    const WALL: Duration = Duration::from_secs(1_800_000_000);

    fn key() -> KeyPair {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        KeyPair::try_from(der.as_ref()).unwrap()
    }

    #[test]
    fn an_assertion_is_signed_as_entra_wants_it() {
        let key = key();
        let made = CertificateParams::default().self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateFiles { certificate: dir.path().join("app.pem"), key: None };
        std::fs::write(&files.certificate, format!("{}{}", made.pem(), key.serialize_pem())).unwrap();
        let app = testing::app("https://login.example/", Credential::Certificate(files.clone()));

        let mut seen = HashSet::new();
        for _ in 0..3 {
            let proof = read(&app, &files, SystemTime::UNIX_EPOCH + WALL).unwrap();
            assert_eq!(Some(proof.fingerprint), fingerprint(&files));
            let Grant::Assertion(assertion) = proof.grant else { panic!("an assertion") };

            let header = serde_json::to_value(decode_header(assertion.expose_secret()).unwrap()).unwrap();
            let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(made.der()));
            assert_eq!(header, json!({ "typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint }));
            let mut rules = Validation::new(Algorithm::PS256);
            rules.validate_exp = false;
            rules.validate_aud = false;
            let public = DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes()).unwrap();
            let claims = decode::<Value>(assertion.expose_secret(), &public, &rules).unwrap().claims;
            let client = "22553876-f5ab-4529-bffb-cfe50aa89f87";
            let jti: Uuid = claims["jti"].as_str().unwrap().parse().unwrap();
            assert!(seen.insert(jti), "each has its own");
            let expected = json!({
                "aud": "https://login.example/9c7f0000-0000-4000-8000-000000000001/oauth2/v2.0/token",
                "iss": client,
                "sub": client,
                "jti": jti,
                "nbf": 1_800_000_000,
                "iat": 1_800_000_000,
                "exp": 1_800_000_600,
            });
            assert_eq!(claims, expected);
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateFiles { certificate: dir.path().join("app.pem"), key: None };
        let app = testing::app("https://login.example", Credential::Certificate(files.clone()));
        let told = || {
            let none = read(&app, &files, SystemTime::UNIX_EPOCH).err().unwrap();
            assert_eq!((none.class, fingerprint(&files), end(&files)), (Class::Fix, None, None));
            format!("{} / {}", none.meaning, none.advice)
        };
        assert!(told().contains("does not exist"));
        let key = key().serialize_pem();
        std::fs::write(&files.certificate, &key).unwrap();
        let told = told();
        assert!(told.contains("no certificate") && told.contains("as soon as the file changes"), "{told}");
        assert!(key.lines().all(|line| line.starts_with('-') || !told.contains(line)), "{told}");
    }
}
