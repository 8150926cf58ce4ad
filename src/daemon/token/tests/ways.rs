//! The ways in other than a client secret, against the token endpoint.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::config::settings::{App, CertificateFiles};
use crate::daemon::token::{Claims, Class, SignIn, store};

/// A token endpoint, a directory for what proves who asks, and a source.
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) dir: TempDir,
    pub(super) app: App,
}

impl Site {
    pub(super) async fn new(credential: impl FnOnce(&Path) -> Credential, scripts: Vec<Script>) -> Self {
        let server = Server::plain(scripts).await;
        let dir = tempfile::tempdir().unwrap();
        let app = app(&server.url("http"), credential(dir.path()));
        Self { server, dir, app }
    }

    pub(super) fn source(&self) -> TokenSource {
        TokenSource::new(&self.app, &direct()).unwrap()
    }

    pub(super) async fn fetch(&self, claims: Option<&Claims>) -> TokenReply {
        let source = self.source();
        let (tried, reply) =
            tokio::time::timeout(LONG, source.fetch(LONG, WALL, claims, None)).await.unwrap();
        assert_eq!(tried, source.fingerprint(), "what it was tried with");
        let shown = format!("{reply:?} {source:?} {tried:?}");
        assert!(!shown.contains("c4nary") && !shown.contains("canary"), "a secret shows: {shown}");
        reply
    }

    /// The fields of the next request.
    pub(super) async fn form(&mut self) -> Vec<(String, String)> {
        let request = self.server.request().await;
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /9c7f0000-0000-4000-8000-000000000001/oauth2/v2.0/token HTTP/1.1"));
        url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Where the sign-in is kept.
    pub(super) fn sign_in(&self) -> PathBuf {
        self.dir.path().join("login/contoso.json")
    }

    pub(super) fn signed_in(&self, refresh_token: &str) {
        let sign_in = SignIn {
            id: Uuid::new_v4(),
            tenant: self.app.tenant,
            client: self.app.client_id,
            user: "fa8bf3dc-eca7-46b7-bad1-db199b62afc3".parse().unwrap(),
            refresh_token: refresh_token.into(),
        };
        store(&self.sign_in(), &sign_in).unwrap();
    }

    pub(super) fn kept(&self) -> String {
        SignIn::read(&self.sign_in()).unwrap().refresh_token.expose_secret().to_owned()
    }
}

pub(super) fn value<'f>(form: &'f [(String, String)], name: &str) -> Option<&'f str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

pub(super) fn granted() -> Script {
    Script::answer(200, "", TOKEN)
}

pub(super) fn with_refresh_token(token: &str) -> Script {
    let body = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "ey.canary.x", "refresh_token": token });
    Script::answer(200, "", &body.to_string())
}

fn pem(name: &str) -> String {
    let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = rcgen::KeyPair::try_from(der.as_ref()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    format!("{}{}", params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn certificate(dir: &Path) -> Credential {
    Credential::Certificate(CertificateFiles { certificate: dir.join("app.pem"), key: None })
}

fn token_file(dir: &Path) -> Credential {
    Credential::FederatedTokenFile(dir.join("token"))
}

pub(super) fn login(dir: &Path) -> Credential {
    Credential::SignedIn(dir.join("login/contoso.json"))
}

pub(super) fn class(reply: &TokenReply) -> Class {
    reply.detail.as_ref().expect("what failed is told").class
}

#[tokio::test]
async fn a_certificate_that_was_replaced_signs_the_next_request() {
    let mut site = Site::new(certificate, vec![granted()]).await;
    let mut thumbprints = Vec::new();
    for name in ["first", "second"] {
        site.write("app.pem", &pem(name));
        assert!(site.fetch(None).await.token.is_some());
        let form = site.form().await;
        assert_eq!(value(&form, "client_secret"), None);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(value(&form, "client_assertion_type"), Some(kind));
        let header = jsonwebtoken::decode_header(value(&form, "client_assertion").unwrap()).unwrap();
        thumbprints.push(header.x5t_s256.unwrap());
    }
    assert_ne!(thumbprints[0], thumbprints[1]);
    site.write("app.pem", "nothing of the kind");
    assert_eq!(class(&site.fetch(None).await), Class::Fix);
    assert!(site.server.is_idle(), "a request without a proof");
}

#[tokio::test]
async fn an_endpoint_that_gives_the_assertion_back_does_not_get_it_into_the_log() {
    let mut site = Site::new(token_file, vec![]).await;
    let token = "eyJ4.c4nary.c2ln";
    site.write("token", token);
    let echo =
        format!(r#"{{"error":"odd","error_description":"you said {token}","correlation_id":"{token}"}}"#);
    site.server = Server::plain(vec![Script::answer(400, "", &echo)]).await;
    site.app = app(&site.server.url("http"), site.app.credential.clone());
    site.fetch(None).await;
}

#[tokio::test]
async fn a_token_file_is_read_at_each_request() {
    let mut site = Site::new(token_file, vec![granted()]).await;
    for token in ["eyJ4.Zmlyc3Q.c2ln", "eyJ4.c2Vjb25k.c2ln"] {
        site.write("token", &format!("{token}\n"));
        assert!(site.fetch(None).await.token.is_some());
        assert_eq!(value(&site.form().await, "client_assertion"), Some(token));
    }
    site.write("token", "c4nary, but no token");
    let reply = site.fetch(None).await;
    assert_eq!(class(&reply), Class::Fix);
    assert!(reply.detail.unwrap().meaning.contains("federated_token_file /"));
    std::fs::remove_file(site.dir.path().join("token")).unwrap();
    assert!(site.fetch(None).await.detail.unwrap().meaning.contains("does not exist"));
    assert!(site.server.is_idle(), "a request without a proof");
}

#[tokio::test]
async fn errors_are_worded_for_the_way_in() {
    let cases = [
        (700_027, "invalid_client", Class::Fix, "certificate_file /"),
        (700_024, "invalid_client", Class::Fix, "clock"),
        (50_196, "invalid_grant", Class::Slowly, "loop"),
    ];
    for (number, name, expected, word) in cases {
        let site = Site::new(certificate, vec![Script::answer(401, "", &error(number, name))]).await;
        site.write("app.pem", &pem("x"));
        let reply = site.fetch(None).await;
        let detail = reply.detail.clone().unwrap();
        assert_eq!((class(&reply), detail.aadsts), (expected, Some(number)));
        assert!(format!("{} {}", detail.meaning, detail.advice).contains(word), "{detail:?}");
    }
    let site = Site::new(login, vec![Script::answer(400, "", &error(700_082, "invalid_grant"))]).await;
    site.signed_in("r1-c4nary");
    let reply = site.fetch(None).await;
    assert_eq!(class(&reply), Class::SignIn);
    assert!(reply.detail.unwrap().advice.contains("`presenced login contoso`"));
    assert_eq!(site.kept(), "r1-c4nary", "what is refused is kept: it is the authority's to say");
}

#[tokio::test]
async fn claims_go_with_a_request_as_they_were_asked_for_and_with_what_this_client_can_do() {
    let mut site = Site::new(token_file, vec![granted()]).await;
    site.write("token", "eyJ4.Zmlyc3Q.c2ln");
    let mut headers = reqwest::header::HeaderMap::new();
    let challenge = "Bearer error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7InZhbHVlIjoiMSJ9fX0\"";
    headers.insert(reqwest::header::WWW_AUTHENTICATE, challenge.parse().unwrap());
    let claims = Claims::asked_for(&headers).unwrap();
    let cp1 = json!({ "values": ["cp1"] });
    let cases = [
        (false, None, None),
        (true, None, Some(json!({ "access_token": { "xms_cc": cp1 } }))),
        (true, Some(&claims), Some(json!({ "access_token": { "nbf": { "value": "1" }, "xms_cc": cp1 } }))),
    ];
    for (cae, claims, expected) in cases {
        site.app.cae = cae;
        site.fetch(claims).await;
        let form = site.form().await;
        let sent: Option<Value> = value(&form, "claims").map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn no_redirect_is_followed_on_any_way() {
    for way in [certificate as fn(&Path) -> Credential, token_file, login] {
        let mut elsewhere = Server::plain(vec![granted()]).await;
        let to = format!("location: {}/token\r\n", elsewhere.url("http"));
        for status in [301, 302, 303, 307, 308] {
            let site = Site::new(way, vec![Script::answer(status, &to, "")]).await;
            site.write("app.pem", &pem("x"));
            site.write("token", "eyJ4.Zmlyc3Q.c2ln");
            site.signed_in("r1");
            assert_eq!(class(&site.fetch(None).await), Class::Again, "{status}");
        }
        assert!(elsewhere.is_idle(), "somebody else was asked");
    }
}
