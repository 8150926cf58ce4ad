use std::time::SystemTime;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::config::settings::Credential;
use crate::daemon::network::testing::{self, LONG, Script, Server, direct, refusing};

const BEGUN: &str = r#"{"user_code":"AB-12","device_code":"d-c4nary","verification_uri":"https://login.example/device",
    "expires_in":900,"interval":5,"message":"To sign in ..."}"#;
const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
const TENANT: &str = "9c7f0000-0000-4000-8000-000000000001";
const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

fn app(root: &str) -> App {
    testing::app(root, Credential::SignedIn("/var/lib/presenced/login/contoso.json".into()))
}

/// Five seconds of it are one of the world's in a hundred.
fn clock() -> Clock {
    Clock::accelerated(500, SystemTime::UNIX_EPOCH)
}

fn error(name: &str) -> Script {
    Script::answer(400, "", &format!(r#"{{"error":"{name}","error_description":"AADSTS70016: d-c4nary"}}"#))
}

fn granted(identity: &Value) -> Script {
    let id_token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(identity.to_string()));
    let body = json!({ "token_type": "Bearer", "access_token": "ey.c4nary", "refresh_token": "r-c4nary", "id_token": id_token });
    Script::answer(200, "", &body.to_string())
}

fn identity() -> Value {
    json!({ "oid": USER, "tid": TENANT, "aud": CLIENT })
}

/// A whole sign-in; the requests that it took.
async fn sign_in(mut scripts: Vec<Script>) -> (Result<SignIn, LoginError>, Vec<String>) {
    scripts.insert(0, Script::answer(200, "", BEGUN));
    let mut server = Server::plain(scripts).await;
    let clock = clock();
    let begun = DeviceCode::begin(&app(&server.url("http")), &direct(), &clock).await.unwrap();
    assert_eq!((begun.url.as_str(), begun.user_code.as_str()), ("https://login.example/device", "AB-12"));
    assert!(!format!("{begun:?}").contains("c4nary"));
    let done = tokio::time::timeout(LONG, begun.finish(&clock)).await.expect("it ends");
    let said = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(!format!("{done:?} {said}").contains("c4nary"), "{done:?}");
    (done, server.taken())
}

#[tokio::test]
async fn a_person_signs_in_on_another_device_while_this_one_waits() {
    let scripts =
        vec![error("authorization_pending"), error("slow_down"), Script::cut(""), granted(&identity())];
    let (done, requests) = sign_in(scripts).await;
    let done = done.unwrap();
    assert_eq!((done.user.to_string().as_str(), done.refresh_token.expose_secret()), (USER, "r-c4nary"));
    assert_eq!((done.tenant.to_string().as_str(), done.client.to_string().as_str()), (TENANT, CLIENT));
    assert_eq!(requests.len(), 5, "one for the code, and four questions");
    assert!(requests[0].starts_with(&format!("POST /{TENANT}/oauth2/v2.0/devicecode HTTP/1.1")));
    let form = |request: &str| -> Vec<(String, String)> {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
    };
    let asked = form(&requests[0]);
    assert_eq!(asked[0], ("client_id".to_owned(), CLIENT.to_owned()));
    assert!(asked[1].1.ends_with("/Presence.ReadWrite offline_access openid"), "{asked:?}");
    assert!(
        requests[1..]
            .iter()
            .all(|request| form(request).contains(&("device_code".to_owned(), "d-c4nary".to_owned())))
    );
}

#[tokio::test]
async fn the_times_of_a_code_are_taken_in_every_form_and_kept_within_reason() {
    let begin = async |times: &str| {
        let begun = format!(
            r#"{{"user_code":"AB-12","device_code":"d","verification_uri":"https://login.example/device"{times}}}"#
        );
        let server = Server::plain(vec![Script::answer(200, "", &begun)]).await;
        let begun = DeviceCode::begin(&app(&server.url("http")), &direct(), &clock()).await.unwrap();
        (begun.good_for.as_secs(), begun.interval.as_secs())
    };
    let cases = [
        (r#","expires_in":600,"interval":7"#, (600, 7)),
        (r#","expires_in":"600","interval":"7""#, (600, 7)),
        (r#","expires_in":600.0,"interval":7.0"#, (600, 7)),
        ("", (900, 5)),
        (r#","expires_in":null,"interval":"soon""#, (900, 5)),
        (r#","expires_in":"99999","interval":"99999""#, (3_600, 60)),
        (r#","expires_in":60,"interval":-1"#, (60, 1)),
    ];
    for (times, expected) in cases {
        assert_eq!(begin(times).await, expected, "{times}");
    }
}

#[tokio::test]
async fn who_does_not_sign_in_is_told_why() {
    let (done, _) = sign_in(vec![error("authorization_declined")]).await;
    assert!(matches!(done, Err(LoginError::Declined)), "{done:?}");
    let (done, _) = sign_in(vec![error("expired_token")]).await;
    assert!(matches!(done, Err(LoginError::Expired)), "{done:?}");
    let (done, _) = sign_in(vec![error("bad_verification_code")]).await;
    assert!(matches!(done, Err(LoginError::Refused(_))), "{done:?}");
    let no_public_client =
        r#"{"error":"invalid_client","error_codes":[7000218],"error_description":"AADSTS7000218: ..."}"#;
    let (done, requests) = sign_in(vec![Script::answer(401, "", no_public_client)]).await;
    let said = done.unwrap_err().to_string();
    assert!(said.contains("allow public client flows") && said.contains("AADSTS7000218"), "{said}");
    assert!(said.contains("`presenced login contoso`"), "{said}");
    assert_eq!(requests.len(), 2, "asked once");
    // 900 s of the clock, nothing but trouble on the way, and less and less often.
    let (done, requests) = sign_in(vec![Script::answer(503, "", "")]).await;
    assert!(matches!(done, Err(LoginError::Expired)), "{done:?}");
    assert!((10..=20).contains(&requests.len()), "{}", requests.len());
}

#[tokio::test]
async fn what_comes_must_be_for_this_app_and_this_tenant() {
    let with = |key: &str, value: &str| {
        let mut identity = identity();
        identity[key] = value.into();
        granted(&identity)
    };
    let other = "11111111-1111-4111-8111-111111111111";
    let cases = [
        (with("aud", other), "for another app"),
        (with("tid", other), "another tenant"),
        (with("oid", "me"), "cannot be read"),
        (
            Script::answer(200, "", r#"{"access_token":"x","refresh_token":"r","id_token":"a.b"}"#),
            "cannot be read",
        ),
        (Script::answer(200, "", r#"{"access_token":"x","id_token":"a.b.c"}"#), "no refresh token"),
        (Script::answer(200, "", r#"{"access_token":"x","refresh_token":"r"}"#), "no id token"),
    ];
    for (script, expected) in cases {
        let (done, _) = sign_in(vec![script]).await;
        let said = done.unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn an_authority_that_gives_no_code_is_told_apart() {
    let begin = async |script: Script| {
        let server = Server::plain(vec![script]).await;
        DeviceCode::begin(&app(&server.url("http")), &direct(), &clock()).await.unwrap_err()
    };
    let unknown =
        r#"{"error":"invalid_request","error_codes":[90002],"error_description":"AADSTS90002: no"}"#;
    assert!(matches!(begin(Script::answer(400, "", unknown)).await, LoginError::Refused(_)));
    assert!(matches!(begin(Script::answer(503, "", "")).await, LoginError::Unreachable(_)));
    assert!(matches!(begin(Script::answer(200, "", "<html>")).await, LoginError::Unreachable(_)));
    assert!(matches!(
        begin(Script::answer(302, "location: http://127.0.0.1:1/\r\n", "")).await,
        LoginError::Unreachable(_)
    ));
    let sneaky = BEGUN.replace("AB-12", "AB\\u001b[31m");
    assert!(matches!(begin(Script::answer(200, "", &sneaky)).await, LoginError::Unfit(_)));
    let root = format!("http://{}", refusing().await);
    let error = DeviceCode::begin(&app(&root), &direct(), &clock()).await.unwrap_err();
    assert!(error.to_string().contains("refused the connection"), "{error}");
}
