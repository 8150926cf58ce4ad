//! One app against a server that plays both hosts: what cannot be known is not called well.

use std::path::Path;

use super::*;
use crate::daemon::network::testing::{Script, Server, app, direct};
use crate::daemon::token::{SignIn, store};
use crate::keeper::{LaneHead, LanePlan, SessionPlan};

const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";
/// A token that only Graph reads.
const OPAQUE: &str = "EwB-opaque";

fn granted(token: &str) -> Script {
    let body = format!("{{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"{token}\"}}");
    Script::answer(200, "content-type: application/json\r\n", &body)
}

/// A server that answers the questions to both hosts, grants this token, and answers the read so.
async fn server(token: &str, read: Script) -> Server {
    let reached = Script::answer(200, "", "{}");
    Server::plain(vec![reached.clone(), reached, granted(token), read]).await
}

/// Examines an app of one user.
async fn examined(server: &Server, credential: Credential, change: impl FnOnce(&mut App)) -> AppReport {
    let mut app = app(&server.url("http"), credential);
    change(&mut app);
    let session = SessionPlan::new(USER.parse().unwrap(), None);
    let head = LaneHead { name: Arc::clone(&app.name), quota: app.quota };
    let plan = Plan::new(vec![LanePlan { key: app.lane(), head, sessions: vec![session] }]);
    let patient = Patient::new(&app, &plan, &Asks::default(), &direct()).unwrap();
    let (progress, _) = watch::channel(Progress::default());
    patient.examine(&Clock::real(), &progress).await
}

fn secret(dir: &Path) -> Credential {
    let path = dir.join("contoso.secret");
    std::fs::write(&path, "a-secret").unwrap();
    Credential::SecretFile(path)
}

fn signed_in(dir: &Path) -> Credential {
    let path = dir.join("login/contoso.json");
    let app = app("http://127.0.0.1:9", Credential::SignedIn(path.clone()));
    let sign_in = SignIn {
        id: uuid::Uuid::from_u128(7),
        tenant: app.tenant,
        client: app.client_id,
        user: USER.parse().unwrap(),
        refresh_token: "r".into(),
    };
    store(&path, &sign_in).unwrap();
    Credential::SignedIn(path)
}

fn check(report: &AppReport, name: CheckName) -> &Check {
    report.checks.iter().find(|check| check.name == name).unwrap()
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_no_proof_of_a_permission() {
    let dir = tempfile::tempdir().unwrap();
    let seen =
        format!("{{\"value\":[{{\"id\":\"{USER}\",\"availability\":\"Away\",\"activity\":\"Away\"}}]}}");
    let server = server(OPAQUE, Script::answer(200, "", &seen)).await;
    let report = examined(&server, secret(dir.path()), |_| {}).await;
    let permission = check(&report, CheckName::Permission);
    assert_eq!(permission.status, Status::Warning, "{report:#?}");
    assert!(permission.detail.contains("not known") && permission.advice.is_some(), "{permission:?}");
    assert_eq!(check(&report, CheckName::Users).status, Status::Ok, "{report:#?}");
    assert!(report.is_well() && report.has_notes());
}

#[tokio::test]
async fn where_a_users_token_cannot_be_read_it_is_asked_what_it_is_good_for() {
    let dir = tempfile::tempdir().unwrap();
    for (status, body, expected) in
        [(200, "{\"availability\":\"Away\",\"activity\":\"Away\"}", Status::Ok), (403, "{}", Status::Warning)]
    {
        let server = server(OPAQUE, Script::answer(status, "", body)).await;
        let report = examined(&server, signed_in(dir.path()), |_| {}).await;
        assert_eq!(check(&report, CheckName::SignedIn).status, Status::Warning, "{report:#?}");
        let users = check(&report, CheckName::Users);
        assert_eq!(users.status, expected, "{report:#?}");
        if expected == Status::Warning {
            let advice = users.advice.as_deref().unwrap();
            for word in ["Presence.Read ", "adminconsent", "`presenced login contoso`"] {
                assert!(advice.contains(word), "{word}: {advice}");
            }
        }
        assert!(report.is_well());
    }
}

#[tokio::test]
async fn a_token_that_graph_does_not_take_is_not_said_to_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let challenge =
        "www-authenticate: Bearer error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\"\r\n";
    for (headers, words) in [("", "enterprise applications"), (challenge, "cae = true")] {
        let server = server(OPAQUE, Script::answer(401, headers, "")).await;
        let report = examined(&server, secret(dir.path()), |_| {}).await;
        let users = check(&report, CheckName::Users);
        let advice = users.advice.as_deref().unwrap();
        assert_eq!(users.status, Status::Failed, "{report:#?}");
        assert!(advice.contains(words) && !advice.contains("a new token is fetched"), "{advice}");
    }
}

#[tokio::test]
async fn a_secrets_end_in_the_config_fails_only_where_no_token_is_granted() {
    let dir = tempfile::tempdir().unwrap();
    let past = |app: &mut App| app.secret_expires = Some("2001-01-01".parse().unwrap());
    let works = server(OPAQUE, Script::answer(200, "", "{\"value\":[]}")).await;
    let report = examined(&works, secret(dir.path()), past).await;
    let end = check(&report, CheckName::CredentialEnd);
    assert_eq!(end.status, Status::Warning, "{end:?}");
    assert!(end.advice.as_deref().unwrap().contains("write its end into"), "{end:?}");

    let reached = Script::answer(200, "", "{}");
    let refused = Script::answer(401, "", "{\"error\":\"invalid_client\",\"error_codes\":[7000222]}");
    let refuses = Server::plain(vec![reached.clone(), reached, refused]).await;
    let report = examined(&refuses, secret(dir.path()), past).await;
    assert_eq!(check(&report, CheckName::CredentialEnd).status, Status::Failed, "{report:#?}");
}
