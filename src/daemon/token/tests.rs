//! Token requests against endpoints on loopback.

mod sign_ins;
mod ways;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{TokenReply, TokenSource};
use crate::config::settings::{Credential, Network};
use crate::daemon::network::testing::{
    Authority, LONG, Manner, ProxyServer, Script, Server, app, direct, refusing,
};
use crate::keeper::{TokenAnswer, TokenFailure};

const WALL: SystemTime = SystemTime::UNIX_EPOCH;
const CANARY: &str = "c4nary~s3cret+/=";
const TOKEN: &str =
    r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"ey.canary.x"}"#;

/// A secret in a file.
struct Secret {
    dir: tempfile::TempDir,
}

impl Secret {
    fn new(content: &str) -> Self {
        let secret = Self { dir: tempfile::tempdir().unwrap() };
        secret.write(content);
        secret
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("contoso.secret")
    }

    fn write(&self, content: &str) {
        std::fs::write(self.path(), content).unwrap();
    }

    fn source(&self, root: &str, network: &Network) -> TokenSource {
        TokenSource::new(&app(root, Credential::SecretFile(self.path())), network).unwrap()
    }
}

async fn fetch(source: &TokenSource, time: Duration) -> TokenReply {
    let (tried, reply) = tokio::time::timeout(LONG, source.fetch(time, WALL, None, None))
        .await
        .expect("a fetch always returns");
    assert_eq!(tried, source.fingerprint(), "what it was tried with");
    let shown = format!("{reply:?} {source:?}");
    assert!(!shown.contains("c4nary") && !shown.contains("ey.canary"), "a secret shows: {shown}");
    let granted = matches!(reply.answer, TokenAnswer::Granted { .. });
    assert_eq!((reply.token.is_some(), reply.detail.is_none()), (granted, granted), "{reply:?}");
    reply
}

/// A fetch from an endpoint that plays this one script.
async fn against(script: Script) -> TokenReply {
    let server = Server::plain(vec![script]).await;
    fetch(&Secret::new(CANARY).source(&server.url("http"), &direct()), LONG).await
}

fn error(number: u32, error: &str) -> String {
    format!(
        r#"{{"error":"{error}","error_description":"AADSTS{number}: words. Trace ID: 1","error_codes":[{number}],
        "timestamp":"2026-11-23 09:00:00Z","trace_id":"t","correlation_id":"c-7"}}"#
    )
}

fn failed(failure: TokenFailure, retry_after: Option<Duration>) -> TokenAnswer {
    TokenAnswer::Failed { failure, retry_after }
}

#[tokio::test]
async fn a_token_comes_for_the_secret_in_the_file() {
    let mut server = Server::plain(vec![Script::answer(200, "", TOKEN)]).await;
    let reply = fetch(&Secret::new("c4nary~s3cret+/=\n").source(&server.url("http"), &direct()), LONG).await;
    let hour = Duration::from_secs(3_599);
    assert_eq!(reply.answer, TokenAnswer::Granted { lifetime: hour, refresh_in: None });
    assert_eq!(reply.token.unwrap().authorization().to_str().unwrap(), "Bearer ey.canary.x");
    let request = server.request().await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /9c7f0000-0000-4000-8000-000000000001/oauth2/v2.0/token HTTP/1.1\r\n"));
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded")
            && head.contains("client-request-id: ")
    );
    assert!(
        body.contains("client_secret=c4nary%7Es3cret%2B%2F%3D&scope=http%3A%2F%2F127.0.0.1%3A"),
        "{body}"
    );
    assert!(body.ends_with("%2F.default"), "{body}");
}

#[tokio::test]
async fn the_secret_is_read_again_at_each_fetch() {
    let mut server = Server::plain(vec![Script::answer(200, "", TOKEN)]).await;
    let secret = Secret::new("first-c4nary");
    let source = secret.source(&server.url("http"), &direct());
    fetch(&source, LONG).await;
    let before = source.fingerprint();
    secret.write("second-c4nary\n");
    assert_ne!(source.fingerprint(), before);
    fetch(&source, LONG).await;
    assert!(server.request().await.contains("client_secret=first-c4nary&"));
    assert!(server.request().await.contains("client_secret=second-c4nary&"));
    std::fs::remove_file(secret.path()).unwrap();
    assert_eq!(source.fingerprint(), None);
    let reply = fetch(&source, LONG).await;
    assert_eq!(reply.answer, failed(TokenFailure::Rejected, None));
    let detail = reply.detail.unwrap();
    assert!(detail.meaning.contains("contoso.secret does not exist"), "{detail:?}");
    assert!(detail.advice.contains("let the daemon's user read it"), "{detail:?}");
    assert!(server.is_idle(), "a request without a secret");
}

#[tokio::test]
async fn a_credential_on_a_disk_that_hangs_is_given_up_in_time() {
    let mut server = Server::plain(vec![Script::answer(200, "", TOKEN)]).await;
    let secret = Secret::new(CANARY);
    let source = secret.source(&server.url("http"), &direct());
    let hangs = source.hang().await;
    let (tried, reply) =
        tokio::time::timeout(LONG, source.fetch(Duration::from_millis(100), WALL, None, None))
            .await
            .expect("it is given up");
    assert_eq!((tried, reply.answer), (None, failed(TokenFailure::Unreachable, None)));
    assert!(reply.detail.unwrap().meaning.contains("could not be read within 0.1 s"));
    assert!(server.is_idle(), "a request without a secret");
    drop(hangs);
}

#[tokio::test]
async fn a_name_that_may_be_the_secret_itself_is_not_repeated() {
    for name in ["Zk9Qabcdefgh8sTr", "zk9Q~Qabcdefgh8sTrZk9Qabcdefgh8sTr0123"] {
        for credential in [
            Credential::SecretFile(format!("/nowhere/{name}").into()),
            Credential::SecretEnv(name.to_owned()),
        ] {
            let source = TokenSource::new(&app("http://127.0.0.1:9", credential), &direct()).unwrap();
            let detail = fetch(&source, LONG).await.detail.unwrap();
            assert!(!format!("{detail:?}").contains(name), "{detail:?}");
            assert!(detail.meaning.contains("looks like a secret"), "{detail:?}");
        }
    }
}

#[tokio::test]
async fn a_secret_comes_from_the_environment_too() {
    let mut server = Server::plain(vec![Script::answer(200, "", TOKEN)]).await;
    let from = |name: &str| {
        let app = app(&server.url("http"), Credential::SecretEnv(name.to_owned()));
        TokenSource::new(&app, &direct()).unwrap()
    };
    // Setting a variable is not safe while other tests read theirs; PATH, if nothing else, is there.
    let could_be_one = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    let (name, value) = std::env::vars().find(|(_, value)| could_be_one(value)).unwrap();
    let (set, unset) = (from(&name), from("PRESENCED_TEST_NO_SUCH_VARIABLE"));
    assert!(fetch(&set, LONG).await.token.is_some());
    let request = server.request().await;
    let form = request.split_once("\r\n\r\n").unwrap().1;
    let sent = url::form_urlencoded::parse(form.as_bytes()).find(|(key, _)| key == "client_secret");
    assert_eq!(sent.unwrap().1, value);
    let detail = fetch(&unset, LONG).await.detail.unwrap();
    assert!(
        detail.meaning.starts_with("the environment variable PRESENCED_TEST_NO_SUCH_VARIABLE is not set")
    );
}

#[tokio::test]
async fn lifetimes_are_taken_in_every_form_and_kept_within_reason() {
    let times = |expires: &str, refresh: &str| {
        Script::answer(200, "", &format!(r#"{{"access_token":"x"{expires}{refresh}}}"#))
    };
    let cases = [
        (r#","expires_in":3600"#, r#","refresh_in":1800"#, 3_600, Some(1_800)),
        (r#","expires_in":"3600""#, r#","refresh_in":"1800""#, 3_600, Some(1_800)),
        (r#","expires_in":3600.0"#, "", 3_600, None),
        ("", "", 300, None),
        (r#","expires_in":null"#, "", 300, None),
        (r#","expires_in":"soon""#, r#","refresh_in":"soon""#, 300, None),
        (r#","expires_in":0"#, r#","refresh_in":0"#, 60, Some(60)),
        (r#","expires_in":-5"#, r#","refresh_in":-5"#, 60, Some(60)),
        (r#","expires_in":1e300"#, r#","refresh_in":1e300"#, 172_800, Some(172_800)),
        (r#","expires_in":"inf""#, r#","refresh_in":"nan""#, 172_800, None),
        (r#","expires_in":600"#, r#","refresh_in":3600"#, 600, Some(600)),
    ];
    for (expires, refresh, lifetime, refresh_in) in cases {
        let expected = TokenAnswer::Granted {
            lifetime: Duration::from_secs(lifetime),
            refresh_in: refresh_in.map(Duration::from_secs),
        };
        assert_eq!(against(times(expires, refresh)).await.answer, expected, "{expires}{refresh}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_what_to_do() {
    let reply = against(Script::answer(401, "", &error(7_000_215, "invalid_client"))).await;
    assert_eq!(reply.answer, failed(TokenFailure::Rejected, None));
    let detail = reply.detail.unwrap();
    assert_eq!((detail.error.as_str(), detail.aadsts), ("invalid_client", Some(7_000_215)));
    assert_eq!(detail.correlation_id.as_deref(), Some("c-7"));
    assert_eq!(detail.meaning, "the client secret is wrong");
    assert!(
        detail.advice.contains("into secret_file /") && detail.advice.contains("contoso.secret"),
        "{detail:?}"
    );
}

#[tokio::test]
async fn the_number_is_found_in_the_list_and_in_the_words() {
    let cases = [
        r#"{"error":"invalid_client","error_codes":[7000222]}"#,
        r#"{"error":"invalid_client","error_codes":["7000222"]}"#,
        r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided keys are expired."}"#,
    ];
    for body in cases {
        let detail = against(Script::answer(400, "", body)).await.detail.unwrap();
        assert_eq!(detail.aadsts, Some(7_000_222), "{body}");
        assert!(detail.meaning.contains("expired"), "{detail:?}");
    }
    let strange =
        r#"{"error":"odd","error_codes":{"0":1},"error_description":"AADSTS99999999999999: far\r\noff"}"#;
    let detail = against(Script::answer(400, "", strange)).await.detail.unwrap();
    assert_eq!((detail.aadsts, detail.meaning.as_str()), (None, "AADSTS99999999999999: far off"));
}

#[tokio::test]
async fn the_authoritys_own_words_are_told_beside_what_they_mean() {
    let subject = format!("system:serviceaccount:presenced:{}", "long-".repeat(30));
    let words = format!(
        "No matching federated identity record found for presented assertion subject '{subject}'. Check your federated \
         identity credential Subject, Audience and Issuer against the presented assertion."
    );
    let body = |number: u32, words: &str| {
        let description = format!(
            "AADSTS{number}: {words}\r\nTrace ID: t\r\nCorrelation ID: c\r\nTimestamp: 2026-11-25 09:00:00Z"
        );
        serde_json::json!({"error": "invalid_client", "error_description": description, "error_codes": [number]})
            .to_string()
    };
    let detail = against(Script::answer(401, "", &body(700_213, &words))).await.detail.unwrap();
    assert_eq!(
        detail.meaning, "the authority does not accept the app's credential",
        "no secret has this number"
    );
    assert_eq!(detail.said, Some(words), "on one line, without the ids");
    // Nothing is told twice, nothing is endless, and no secret is told at all.
    let detail = against(Script::answer(400, "", &body(99_999, "new\u{1b}words"))).await.detail.unwrap();
    assert_eq!(detail.said.as_deref(), Some("new words"), "{detail:?}");
    let odd = body(99_999, "new words").replace("invalid_client", "odd");
    let detail = against(Script::answer(400, "", &odd)).await.detail.unwrap();
    assert_eq!((detail.meaning.as_str(), detail.said), ("new words", None));
    let long = body(7_000_215, &"x".repeat(9_000));
    let said = against(Script::answer(401, "", &long)).await.detail.unwrap().said.unwrap();
    assert_eq!(said.chars().count(), 400);
    for echo in [
        format!("you sent {CANARY}"),
        format!("{} {CANARY}", "x".repeat(500)),
        format!("x Trace ID: {CANARY}"),
    ] {
        let detail = against(Script::answer(401, "", &body(7_000_215, &echo))).await.detail.unwrap();
        assert_eq!((detail.meaning.as_str(), detail.said), ("the client secret is wrong", None));
    }
}

#[tokio::test]
async fn an_endpoint_in_trouble_is_unreachable_and_says_when_to_come_back() {
    let seven = Some(Duration::from_secs(7));
    let dated = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:44 GMT\r\n";
    let undated = "retry-after: Sun, 06 Nov 1994 08:49:44 GMT\r\n";
    let cases = [
        (Script::answer(429, "retry-after: 7\r\n", ""), seven),
        (Script::answer(503, dated, "<html>"), seven),
        (Script::answer(503, undated, ""), Some(Duration::ZERO)),
        (Script::answer(500, "", &error(90_033, "temporarily_unavailable")), None),
        (Script::answer(400, "", &error(50_196, "invalid_grant")), Some(Duration::from_secs(300))),
        (
            Script::answer(400, "retry-after: 7\r\n", &error(50_196, "invalid_grant")),
            Some(Duration::from_secs(300)),
        ),
        (
            Script::answer(400, "retry-after: 400\r\n", &error(50_196, "invalid_grant")),
            Some(Duration::from_secs(400)),
        ),
        (Script::answer(302, "location: http://127.0.0.1:1/\r\n", ""), None),
        (Script::answer(403, "content-type: text/html\r\n", "<html>Blocked by your proxy</html>"), None),
        (Script::answer(200, "", "<html>Welcome to the hotel</html>"), None),
        (Script::answer(200, "", "{}"), None),
        (Script::answer(200, "", r#"{"access_token":""}"#), None),
        (Script::answer(200, "", r#"{"access_token":"a b"}"#), None),
        (Script::answer(200, "", r#"{"access_token":"x","token_type":"mac"}"#), None),
        (Script::cut("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"access_token\":\"ey.canary"), None),
        (Script::endless("HTTP/1.1 200 OK\r\n\r\n", &[b' '; 8192]), None),
    ];
    for (at, (script, wait)) in cases.into_iter().enumerate() {
        let reply = against(script).await;
        assert_eq!(reply.answer, failed(TokenFailure::Unreachable, wait), "case {at}: {reply:?}");
        let detail = reply.detail.unwrap();
        assert!(!detail.meaning.is_empty() && !detail.advice.is_empty(), "case {at}");
        assert!(detail.correlation_id.is_some(), "case {at}");
    }
}

#[tokio::test]
async fn an_endpoint_that_gives_the_secret_back_does_not_get_it_into_the_log() {
    for echo in [CANARY, "c4nary~s3cret%2B%2F%3D", "c4nary%7Es3cret%2B%2F%3D"] {
        let body = format!(
            r#"{{"error":"{echo}","error_description":"you said {echo}","correlation_id":"{echo}"}}"#
        );
        against(Script::answer(400, "", &body)).await;
        let body =
            format!(r#"{{"error":"odd","error_description":"you said {echo}","correlation_id":"{echo}"}}"#);
        against(Script::answer(400, "", &body)).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down_or_silent_is_told_apart() {
    let secret = Secret::new(CANARY);
    let reply = fetch(&secret.source(&format!("http://{}", refusing().await), &direct()), LONG).await;
    assert_eq!(reply.answer, failed(TokenFailure::Unreachable, None));
    assert!(reply.detail.unwrap().meaning.contains("refused the connection"));
    let silent = Server::plain(vec![Script::hold("")]).await;
    let source = secret.source(&silent.url("http"), &direct());
    let reply = fetch(&source, Duration::from_millis(150)).await;
    assert_eq!(reply.answer, failed(TokenFailure::Unreachable, None));
    assert!(reply.detail.unwrap().meaning.contains("no answer from 127.0.0.1:"));
    let slow = Server::plain(vec![Script::hold("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{")]).await;
    let reply = fetch(&secret.source(&slow.url("http"), &direct()), Duration::from_millis(150)).await;
    assert_eq!(reply.answer, failed(TokenFailure::Unreachable, None));
}

#[tokio::test]
async fn a_token_comes_through_a_proxy_and_from_a_private_authority() {
    let authority = Authority::new("corp");
    let server = Server::tls(vec![Script::answer(200, "", TOKEN)], authority.server("login.test", &[])).await;
    let proxy = ProxyServer::to(server.address, Manner::Open).await;
    let secret = Secret::new(CANARY);
    let trusting = secret.source("https://login.test", &proxy.network(Some(authority.file())));
    assert!(fetch(&trusting, LONG).await.token.is_some());
    let detail =
        fetch(&secret.source("https://login.test", &proxy.network(None)), LONG).await.detail.unwrap();
    assert!(
        detail.meaning.contains("unknown issuer") && detail.advice.contains("[network] ca_file"),
        "{detail:?}"
    );
}
