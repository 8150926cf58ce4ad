//! Hosts on loopback that answer as Microsoft's pages say.

use std::path::PathBuf;

use super::*;
use crate::config::settings::Credential;
use crate::daemon::network::testing::{self, LONG, Script, Server, refusing};
use crate::daemon::token::Class;
use crate::keeper::{TokenAnswer, TokenFailure};

const WALL: Duration = Duration::from_secs(1_800_000_000);
const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
const GRANTED: &str = r#"{"access_token":"ey.canary","client_id":"22553876-f5ab-4529-bffb-cfe50aa89f87","expires_in":"3599",
    "expires_on":"1800003599","ext_expires_in":"3599","not_before":"1800000000","resource":"https://graph.microsoft.com",
    "token_type":"Bearer"}"#;

/// No variable is set, and no agent is there.
fn nowhere() -> Surroundings {
    Surroundings {
        identity_endpoint: None,
        identity_header: None,
        identity_server_thumbprint: false,
        imds_endpoint: false,
        msi_endpoint: false,
        pod_identity_host: None,
        program: "/nowhere/himds".into(),
        tokens: "/nowhere/tokens".into(),
    }
}

fn vm(server: &Server) -> Surroundings {
    Surroundings { pod_identity_host: Some(server.url("http")), ..nowhere() }
}

fn app_service(server: &Server) -> Surroundings {
    Surroundings {
        identity_endpoint: Some(format!("{}/msi/token", server.url("http"))),
        identity_header: Some("h-canary".into()),
        ..nowhere()
    }
}

fn app_service_at(endpoint: &str) -> Surroundings {
    Surroundings {
        identity_endpoint: Some(endpoint.to_owned()),
        identity_header: Some("h".into()),
        ..nowhere()
    }
}

fn arc(server: &Server, tokens: PathBuf) -> Surroundings {
    Surroundings {
        identity_endpoint: Some(format!("{}/metadata/identity/oauth2/token", server.url("http"))),
        imds_endpoint: true,
        tokens,
        ..nowhere()
    }
}

async fn fetch_as(identity: Identity, around: Surroundings) -> TokenReply {
    let app = testing::app("https://graph.microsoft.com", Credential::ManagedIdentity(identity));
    let source = ManagedIdentity::around(&app, identity, around);
    let wall = SystemTime::UNIX_EPOCH + WALL;
    let reply = timeout(LONG, source.fetch(LONG / 2, wall)).await.expect("a fetch always returns");
    assert!(!format!("{reply:?}").contains("canary"), "a secret shows: {reply:?}");
    reply
}

async fn fetch(around: Surroundings) -> TokenReply {
    fetch_as(Identity::SystemAssigned, around).await
}

fn lives(secs: u64) -> TokenAnswer {
    TokenAnswer::Granted { lifetime: Duration::from_secs(secs), refresh_in: None }
}

fn fails(reply: &TokenReply, class: Class) -> String {
    let detail = reply.detail.as_ref().expect("what failed is told");
    assert_eq!(detail.class, class, "{detail:?}");
    let failure = match class {
        Class::Again | Class::Slowly => TokenFailure::Unreachable,
        Class::Fix | Class::SignIn => TokenFailure::Rejected,
    };
    assert!(matches!(reply.answer, TokenAnswer::Failed { failure: is, .. } if is == failure), "{reply:?}");
    format!("{} / {}", detail.meaning, detail.advice)
}

#[tokio::test]
async fn a_vm_gives_a_token_and_its_numbers_are_strings() {
    let mut server = Server::plain(vec![Script::answer(200, "", GRANTED)]).await;
    let reply = fetch(vm(&server)).await;
    assert_eq!(reply.answer, lives(3_599));
    let request = server.request().await;
    assert!(
        request.starts_with(
            "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com HTTP/1.1"
        ),
        "{request}"
    );
    assert!(request.contains("\r\nmetadata: true\r\n") && !request.contains("forwarded"), "{request}");
    let user = Identity::UserAssigned(CLIENT.parse().unwrap());
    fetch_as(user, vm(&server)).await;
    assert!(server.request().await.contains(&format!("&client_id={CLIENT} HTTP/1.1")));
}

#[tokio::test]
async fn app_service_tells_the_end_of_a_token_alone() {
    let body =
        r#"{"access_token":"ey.canary","expires_on":"1800007200","resource":"x","token_type":"Bearer"}"#;
    let mut server = Server::plain(vec![Script::answer(200, "", body)]).await;
    assert_eq!(fetch(app_service(&server)).await.answer, lives(7_200));
    let dated =
        Server::plain(vec![Script::answer(200, "date: Fri, 15 Jan 2027 09:00:00 GMT\r\n", body)]).await;
    assert_eq!(
        fetch(app_service(&dated)).await.answer,
        lives(3_600),
        "by the clock of who answers, not by ours"
    );
    let request = server.request().await;
    assert!(request.starts_with("GET /msi/token?api-version=2019-08-01&resource=https"), "{request}");
    assert!(
        request.contains("\r\nx-identity-header: h-canary\r\n") && !request.contains("metadata:"),
        "{request}"
    );
    let echo = r#"{"statusCode":401,"message":"bad header h-canary"}"#;
    let server = Server::plain(vec![Script::answer(401, "", echo)]).await;
    let text = fails(&fetch(app_service(&server)).await, Class::Fix);
    assert!(text.starts_with("App Service's identity endpoint gives no token"), "{text}");
}

#[tokio::test]
async fn each_phase_is_tried_again_or_to_be_mended_as_microsoft_says() {
    let cases = [
        (404, "", Class::Again, "not ready yet"),
        (410, "", Class::Again, "70 s"),
        (429, "retry-after: 7\r\n", Class::Again, "is busy"),
        (500, "", Class::Again, "passing trouble"),
        (503, "", Class::Again, "passing trouble"),
        (302, "location: http://127.0.0.1:1/\r\n", Class::Again, "never followed"),
        (200, "", Class::Again, "without a token"),
        (400, "", Class::Fix, "Identity not found"),
        (403, "", Class::Fix, "gives no token"),
        (405, "", Class::Fix, "gives no token"),
    ];
    for (status, headers, class, word) in cases {
        let body = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        let mut server = Server::plain(vec![Script::answer(status, headers, body)]).await;
        let reply = fetch(vm(&server)).await;
        let text = fails(&reply, class);
        assert!(text.contains(word), "{status}: {text}");
        let wait = (status == 429).then_some(Duration::from_secs(7));
        assert!(matches!(reply.answer, TokenAnswer::Failed { retry_after, .. } if retry_after == wait));
        assert_eq!(server.taken().len(), 1, "{status}: one request, the keeper does the rest");
    }
    let server = Server::plain(vec![Script::answer(400, "", "{}")]).await;
    let user = Identity::UserAssigned(CLIENT.parse().unwrap());
    assert!(fails(&fetch_as(user, vm(&server)).await, Class::Fix).contains(CLIENT));
}

#[tokio::test]
async fn where_nobody_answers_this_may_be_no_azure_host() {
    let address = refusing().await;
    let around = Surroundings { pod_identity_host: Some(format!("http://{address}")), ..nowhere() };
    let text = fails(&fetch(around).await, Class::Again);
    assert!(text.contains("on Azure hosts and Arc machines only"), "{text}");
}

/// The agent's folder with a key in it.
fn keys(key: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(tokens.join("a.key"), key).unwrap();
    (dir, tokens)
}

#[tokio::test]
async fn the_agent_of_an_arc_machine_is_shown_the_key_that_it_names() {
    let (_dir, tokens) = keys("k-canary");
    let realm = tokens.join("a.key");
    let challenge =
        Script::answer(401, &format!("www-authenticate: Basic realm={}\r\n", realm.display()), "");
    let mut server = Server::plain(vec![challenge, Script::answer(200, "", GRANTED)]).await;
    assert_eq!(fetch(arc(&server, tokens)).await.answer, lives(3_599));
    let requests = server.taken();
    assert_eq!(requests.len(), 2);
    assert!(!requests[0].contains("authorization:") && requests[0].contains("\r\nmetadata: true\r\n"));
    assert!(requests[0].contains("api-version=2020-06-01"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nauthorization: Basic k-canary\r\n"), "{}", requests[1]);
}

#[tokio::test]
async fn a_key_that_must_not_be_shown_is_not() {
    let (dir, tokens) = keys(&"k".repeat(agent::MAX_KEY + 1));
    std::fs::write(dir.path().join("b.key"), "outside").unwrap();
    let inside = |name: &str| tokens.join(name).display().to_string();
    let outside = dir.path().join("b.key").display().to_string();
    let cases = [
        (format!("Basic realm={outside}"), "not one of its keys"),
        (format!("Basic realm={}", inside("../b.key")), "not one of its keys"),
        (format!("Basic realm=\"{}\"", inside("a.key")), "larger than 4 KiB"),
        (format!("Basic realm={}", inside("gone.key")), "cannot be used"),
        ("Basic".to_owned(), "did not say which key"),
        (format!("Bearer realm={}", inside("a.key")), "did not say which key"),
    ];
    for (challenge, word) in cases {
        let script = Script::answer(401, &format!("www-authenticate: {challenge}\r\n"), "");
        let mut server = Server::plain(vec![script]).await;
        let text = fails(&fetch(arc(&server, tokens.clone())).await, Class::Fix);
        assert!(text.contains(word), "{challenge}: {text}");
        assert_eq!(server.taken().len(), 1, "{challenge}: nothing is shown");
    }
    // Twice refused is refused: no loop.
    let (_dir, tokens) = keys("k-canary");
    let header = format!("www-authenticate: Basic realm={}\r\n", tokens.join("a.key").display());
    let mut server = Server::plain(vec![Script::answer(401, &header, r#"{"message":"no k-canary"}"#)]).await;
    fails(&fetch(arc(&server, tokens)).await, Class::Fix);
    assert_eq!(server.taken().len(), 2);
}

#[test]
fn hosts_are_told_apart_in_the_documented_order() {
    let local = || Some("http://127.0.0.1:1/token".to_owned());
    let program = tempfile::NamedTempFile::new().unwrap();
    let agent = || program.path().to_owned();
    let header = || Some(SecretString::from("h"));
    let cases = [
        (nowhere(), "the VM's metadata service http://169.254.169.254/metadata/identity/oauth2/token"),
        (
            Surroundings { program: agent(), ..nowhere() },
            "the Azure Arc agent http://127.0.0.1:40342/metadata/identity/oauth2/token",
        ),
        (
            Surroundings { identity_endpoint: local(), imds_endpoint: true, ..nowhere() },
            "the Azure Arc agent http://127.0.0.1:1/token",
        ),
        (
            Surroundings {
                identity_endpoint: local(),
                identity_header: header(),
                imds_endpoint: true,
                program: agent(),
                msi_endpoint: true,
                ..nowhere()
            },
            "App Service's identity endpoint http://127.0.0.1:1/token",
        ),
        (
            Surroundings { pod_identity_host: Some("http://[fe80::1]:8000/x?y".to_owned()), ..nowhere() },
            "the VM's metadata service http://[fe80::1]:8000/metadata/identity/oauth2/token",
        ),
        (
            app_service_at("http://172.16.2.6:8081/msi/token"),
            "App Service's identity endpoint http://172.16.2.6:8081/msi/token",
        ),
        (app_service_at("http://10.0.0.1/x"), "App Service's identity endpoint http://10.0.0.1/x"),
        (app_service_at("http://192.168.0.1/x"), "App Service's identity endpoint http://192.168.0.1/x"),
        (app_service_at("http://[fd00::1]/x"), "App Service's identity endpoint http://[fd00::1]/x"),
    ];
    for (around, expected) in cases {
        let host = Host::find(&around).unwrap_or_else(|none| panic!("{none:?}"));
        assert_eq!(format!("{} {}", host.name(), host.endpoint()), expected);
    }
}

#[test]
fn hosts_that_are_not_supported_and_endpoints_elsewhere_are_refused_with_the_reason() {
    let refused = |around: &Surroundings| {
        let none = Host::find(around).err().expect("it is refused");
        assert_eq!(none.class, Class::Fix);
        none.meaning
    };
    let fabric =
        Surroundings { identity_server_thumbprint: true, ..app_service_at("https://127.0.0.1:2377/token") };
    assert!(refused(&fabric).contains("Service Fabric"));
    assert!(refused(&Surroundings { msi_endpoint: true, ..nowhere() }).contains("Cloud Shell"));
    for elsewhere in [
        "http://172.15.0.1/token",
        "http://172.32.0.1/token",
        "http://192.0.2.1/token",
        "http://100.64.0.1/token",
        "http://20.0.0.1/token",
        "http://metadata.example/token",
        "http://127.0.0.1.example/token",
        "https://127.0.0.1/token",
        "http://user@127.0.0.1/token",
        "http://[2001:db8::1]/token",
        "ftp://127.0.0.1/",
        "no url",
    ] {
        let told = refused(&app_service_at(elsewhere));
        assert!(told.contains("IDENTITY_ENDPOINT does not lead"), "{elsewhere}: {told}");
        let pod = Surroundings { pod_identity_host: Some(elsewhere.to_owned()), ..nowhere() };
        assert!(refused(&pod).contains("AZURE_POD_IDENTITY_AUTHORITY_HOST"), "{elsewhere}");
    }
    // A private network is App Service's alone.
    for private in ["http://10.0.0.1/token", "http://172.16.0.1/token", "http://192.168.0.1/token"] {
        let pod = Surroundings { pod_identity_host: Some(private.to_owned()), ..nowhere() };
        let arc =
            Surroundings { identity_endpoint: Some(private.to_owned()), imds_endpoint: true, ..nowhere() };
        for around in [pod, arc] {
            assert!(refused(&around).ends_with("does not lead to this machine"), "{private}");
        }
    }
    let user = Identity::UserAssigned(CLIENT.parse().unwrap());
    let agent = Host::Arc { endpoint: "http://127.0.0.1:1/".parse().unwrap() };
    assert!(agent.fit_for(user).err().expect("it is refused").meaning.contains("one managed identity"));
}
