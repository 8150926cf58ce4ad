//! Calls against servers on loopback that behave well, badly, and not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Version};
use axum::routing::any;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Answer, Ask, Detail, GraphClient, Together};
use crate::config::settings::{Credential, Network};
use crate::daemon::network::testing::{
    Authority, LONG, Manner, ProxyServer, Script, Server, TlsListener, app, direct, listen,
};
use crate::daemon::token::AccessToken;
use crate::keeper::id::Guid;
use crate::keeper::{Call, Expiration, Loss, Outcome, PresenceState, Refusal, Wish};

const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";
const CANARY: &str = "ey.canary-token.sig";
const SET: Call = Call::Set(Wish { state: PresenceState::InACall, expiration: Expiration::MAX });
/// Long enough for loopback, short enough to wait for.
const SHORT: Duration = Duration::from_millis(150);

fn client(root: &str, network: &Network) -> GraphClient {
    GraphClient::new(&app(root, Credential::SecretEnv("UNUSED".to_owned())), network).unwrap()
}

async fn call(client: &GraphClient, call: Call, time: Duration) -> Answer {
    let token = AccessToken::bearer(CANARY).unwrap();
    let ask = Ask { user: USER.parse().unwrap(), call };
    let answer = client.call(ask, &token, time, SystemTime::UNIX_EPOCH);
    let answer = tokio::time::timeout(LONG, answer).await.expect("a call always returns");
    assert!(!format!("{answer:?}").contains("canary"), "the token shows: {answer:?}");
    assert_eq!(answer.detail.is_none(), answer.outcome == Outcome::Granted, "{answer:?}");
    answer
}

/// A call to a server that plays this one script.
async fn against(script: Script, time: Duration) -> Answer {
    let server = Server::plain(vec![script]).await;
    call(&client(&server.url("http"), &direct()), SET, time).await
}

fn detail(answer: Answer) -> Detail {
    *answer.detail.unwrap()
}

fn lost(loss: Loss) -> Outcome {
    Outcome::Lost { loss, retry_after: None }
}

#[tokio::test]
async fn what_to_grant_depends_on_whose_token_it_is() {
    for (credential, permission) in [
        (Credential::SecretEnv("UNUSED".to_owned()), "the application permission Presence.ReadWrite.All"),
        (Credential::SignedIn("unused".into()), "the delegated permission Presence.ReadWrite to"),
    ] {
        let server = Server::plain(vec![Script::answer(403, "", "")]).await;
        let client = GraphClient::new(&app(&server.url("http"), credential), &direct()).unwrap();
        let advice = detail(call(&client, SET, LONG).await).advice.unwrap();
        assert!(advice.contains(permission), "{advice}");
    }
}

#[tokio::test]
async fn a_call_is_sent_as_graph_documents_it() {
    let mut server = Server::plain(vec![Script::answer(200, "", "")]).await;
    let client = client(&server.url("http"), &direct());
    call(&client, SET, LONG).await;
    let request = server.request().await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with(&format!("POST /v1.0/users/{USER}/presence/setPresence HTTP/1.1\r\n")),
        "{head}"
    );
    for line in [
        "authorization: Bearer ey.canary-token.sig",
        "content-type: application/json",
        concat!("user-agent: presenced/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.contains(line), "{line:?} is not in {head}");
    }
    assert!(!head.contains("accept-encoding"), "bodies are not to be inflated: {head}");
    let expected = r#"{"sessionId":"22553876-f5ab-4529-bffb-cfe50aa89f87","availability":"Busy","activity":"InACall","expirationDuration":"PT240M"}"#;
    assert_eq!(body, expected);

    call(&client, Call::Clear, LONG).await;
    let second = server.request().await;
    assert!(second.starts_with(&format!("POST /v1.0/users/{USER}/presence/clearPresence HTTP/1.1\r\n")));
    let id = |request: &str| {
        let line =
            request.lines().find_map(|line| line.strip_prefix("client-request-id: ")).unwrap().to_owned();
        line.parse::<uuid::Uuid>().unwrap()
    };
    assert_ne!(id(&request), id(&second), "each call has its own");
}

#[tokio::test]
async fn any_2xx_grants_whatever_its_body_does() {
    let endless: &[u8] = &[b'x'; 8192];
    let scripts = [
        Script::answer(200, "", ""),
        Script::answer(204, "", ""),
        Script::answer(202, "content-type: text/html\r\n", "<html>"),
        Script::answer(200, "", "{\"error\":{\"code\":\"Nonsense\"}}"),
        Script::cut("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut"),
        Script::cut("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        Script::hold("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"),
        Script::hold("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\nx"),
        Script::hold("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz"),
        Script::endless("HTTP/1.1 200 OK\r\n\r\n", endless),
    ];
    let answers = join_all(scripts.map(|script| against(script, LONG))).await;
    assert_eq!(answers.len(), 10);
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.outcome, Outcome::Granted, "script {at}");
    }
}

#[tokio::test]
async fn a_refusal_counts_by_its_status_whatever_its_body_does() {
    let endless: &[u8] = &[b' '; 8192];
    let scripts = [
        Script::answer(403, "", ""),
        Script::answer(403, "content-type: text/html\r\n", "<html>Blocked</html>"),
        Script::cut("HTTP/1.1 403 No\r\ncontent-length: 100\r\n\r\n{\"error\":{"),
        Script::hold("HTTP/1.1 403 No\r\ncontent-length: 10\r\n\r\n{"),
        Script::endless("HTTP/1.1 403 No\r\ncontent-length: 10737418240\r\n\r\n", endless),
        Script::endless("HTTP/1.1 403 No\r\n\r\n", endless),
    ];
    let answers = join_all(scripts.map(|script| against(script, LONG))).await;
    assert_eq!(answers.len(), 6);
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.outcome, Outcome::Refused(Refusal::Forbidden), "script {at}");
        assert_eq!(detail(answer).status, Some(403), "script {at}");
    }
}

#[tokio::test]
async fn what_graph_says_of_a_failure_is_handed_on() {
    let body = r#"{"error":{"code":"TooManyRequests","message":"Please retry\nagain later.","innerError":{"request-id":"inner"}}}"#;
    let script = Script::answer(429, "retry-after: 2.5\r\nrequest-id: 0f6e\r\n", body);
    let mut server = Server::plain(vec![script]).await;
    let answer = call(&client(&server.url("http"), &direct()), SET, LONG).await;
    assert_eq!(answer.outcome, Outcome::Throttled { retry_after: Some(Duration::from_millis(2_500)) });
    let detail = detail(answer);
    assert_eq!(detail.code.as_deref(), Some("TooManyRequests"));
    assert_eq!(detail.message.as_deref(), Some("Please retry again later."));
    assert_eq!(detail.request_id.as_deref(), Some("0f6e"));
    assert!(server.request().await.contains(&format!("client-request-id: {}", detail.client_request_id)));
    let echo = format!(r#"{{"error":{{"code":"X","message":"your token {CANARY} is bad"}}}}"#);
    let answer = against(Script::answer(401, "", &echo), LONG).await;
    assert_eq!(answer.outcome, Outcome::TokenRejected);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut target = Server::plain(vec![Script::answer(200, "", "")]).await;
    for status in [301, 302, 307, 308] {
        let to = format!("location: {}/v1.0\r\n", target.url("http"));
        let answer = against(Script::answer(status, &to, ""), LONG).await;
        assert_eq!(answer.outcome, lost(Loss::Server(status)));
        let cause = detail(answer).cause.unwrap();
        assert!(cause.contains("redirect to 127.0.0.1, which is never followed"), "{cause}");
    }
    assert!(target.is_idle(), "the token went elsewhere");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_the_time_given_and_no_more() {
    let answer = against(Script::hold(""), SHORT).await;
    assert_eq!(answer.outcome, lost(Loss::Timeout));
    let cause = detail(answer).cause.unwrap();
    assert!(cause.contains("no answer from 127.0.0.1:"), "{cause}");
    let half_a_head = against(Script::hold("HTTP/1.1 200 OK\r\ncontent-le"), SHORT).await;
    assert_eq!(half_a_head.outcome, lost(Loss::Timeout));
    let endless_head = against(Script::endless("HTTP/1.1 200 OK\r\n", b"x-header: y\r\n"), LONG).await;
    assert_eq!(endless_head.outcome, lost(Loss::Transport));
}

#[tokio::test]
async fn a_broken_connection_is_sent_once_and_lost() {
    let mut server = Server::plain(vec![Script::cut(""), Script::answer(200, "", "")]).await;
    let client = client(&server.url("http"), &direct());
    assert_eq!(call(&client, SET, LONG).await.outcome, lost(Loss::Transport));
    server.request().await;
    assert!(server.is_idle(), "it was sent again, past the keeper's count");
    assert_eq!(call(&client, SET, LONG).await.outcome, Outcome::Granted);
    let garbage = against(Script::cut("SSH-2.0-OpenSSH_9.2\r\n"), LONG).await;
    assert_eq!(garbage.outcome, lost(Loss::Transport));
}

#[tokio::test]
async fn a_call_through_a_tunnel_works_with_a_private_authority() {
    let authority = Authority::new("corp");
    let server =
        Server::tls(vec![Script::answer(200, "", "")], authority.server("graph.test", &["http/1.1"])).await;
    let mut proxy = ProxyServer::to(server.address, Manner::Open).await;
    let through = client("https://graph.test", &proxy.network(Some(authority.file())));
    assert_eq!(call(&through, SET, LONG).await.outcome, Outcome::Granted);
    assert_eq!(proxy.request_line().await, "CONNECT graph.test:443 HTTP/1.1");
    let untrusting = client("https://graph.test", &proxy.network(None));
    let answer = call(&untrusting, SET, LONG).await;
    assert_eq!(answer.outcome, lost(Loss::Transport));
    let cause = detail(answer).cause.unwrap();
    assert!(cause.contains("unknown issuer") && cause.contains("[network] ca_file"), "{cause}");
}

/// An HTTP/2 server that keeps silent where it is told to: at which request, counted from 0, while so many connections
/// have been accepted.
struct Http2 {
    url: String,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Http2 {
    async fn start(authority: &Authority, silent: fn(usize, usize) -> bool) -> Self {
        let (tcp, address) = listen().await;
        let tls = TlsAcceptor::from(Arc::new(authority.server("localhost", &["h2", "http/1.1"])));
        let accepted = Arc::new(AtomicUsize::new(0));
        let listener = TlsListener { tcp, tls, accepted: accepted.clone() };
        let (connections, requests) = (accepted.clone(), Arc::new(AtomicUsize::new(0)));
        let answer = any(move |request: Request| {
            let is_silent =
                silent(requests.fetch_add(1, Ordering::SeqCst), connections.load(Ordering::SeqCst));
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                if request.version() == Version::HTTP_2 {
                    StatusCode::OK
                } else {
                    StatusCode::UPGRADE_REQUIRED
                }
            }
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
        });
        Self { url: format!("https://localhost:{}", address.port()), accepted, _tasks: tasks }
    }
}

#[tokio::test]
async fn http_2_is_used_where_it_is_offered_on_one_connection() {
    let authority = Authority::new("corp");
    let server = Http2::start(&authority, |_, _| false).await;
    let client = client(&server.url, &authority.network());
    for _ in 0..3 {
        assert_eq!(call(&client, SET, LONG).await.outcome, Outcome::Granted);
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_is_dead_without_a_sign_is_left_after_two_silent_calls() {
    let authority = Authority::new("corp");
    let server = Http2::start(&authority, |at, connections| at > 0 && connections == 1).await;
    let client = client(&server.url, &authority.network());
    assert_eq!(call(&client, SET, LONG).await.outcome, Outcome::Granted);
    for _ in 0..2 {
        assert_eq!(call(&client, SET, SHORT).await.outcome, lost(Loss::Timeout));
        assert_eq!(server.accepted.load(Ordering::SeqCst), 1, "still on the first connection");
    }
    assert_eq!(call(&client.clone(), SET, LONG).await.outcome, Outcome::Granted);
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_silent_call_between_answers_changes_no_connection() {
    let authority = Authority::new("corp");
    let server = Http2::start(&authority, |at, _| at % 2 == 1).await;
    let client = client(&server.url, &authority.network());
    assert_eq!(call(&client, SET, LONG).await.outcome, Outcome::Granted);
    for _ in 0..3 {
        assert_eq!(call(&client, SET, SHORT).await.outcome, lost(Loss::Timeout));
        assert_eq!(call(&client, SET, LONG).await.outcome, Outcome::Granted);
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

/// Sets for so many users, all together, to a server that plays this one script.
async fn together(sets: u128, script: Script, time: Duration) -> (Together, Vec<String>) {
    let mut server = Server::plain(vec![script]).await;
    let client = client(&server.url("http"), &direct());
    let asks: Vec<_> = (0..sets).map(|n| Ask { user: Guid::from_u128(n), call: SET }).collect();
    let token = AccessToken::bearer(CANARY).unwrap();
    let calls = client.call_together(&asks, &token, time, SystemTime::UNIX_EPOCH);
    let together = tokio::time::timeout(LONG, calls).await.expect("a batch always returns");
    assert!(!format!("{together:?}").contains("canary"), "the token shows: {together:?}");
    let mut requests = vec![server.request().await];
    while !server.is_idle() {
        requests.push(server.request().await);
    }
    (together, requests)
}

fn outcomes(together: &Together) -> Vec<Outcome> {
    match together {
        Together::Answered(answers) | Together::Unread(answers) => {
            answers.iter().map(|answer| answer.outcome).collect()
        }
        Together::NotTaken(detail) => panic!("{detail:?}"),
    }
}

const TWO_ANSWERED: &str = r#"{"responses":[{"id":"1","status":404},{"id":"0","status":200}]}"#;

#[tokio::test]
async fn several_calls_are_one_request_as_graph_documents_it() {
    let (together, requests) = together(2, Script::answer(200, "", TWO_ANSWERED), LONG).await;
    assert_eq!(outcomes(&together), [Outcome::Granted, Outcome::Refused(Refusal::NotFound)]);
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1.0/$batch HTTP/1.1\r\n"), "{head}");
    for line in
        ["authorization: Bearer ey.canary-token.sig", "content-type: application/json", "client-request-id: "]
    {
        assert!(head.contains(line), "{line:?} is not in {head}");
    }
    assert!(body.starts_with(r#"{"requests":[{"id":"0","method":"POST","url":"/users/"#), "{body}");
}

#[tokio::test]
async fn a_call_that_has_no_company_goes_out_as_ever() {
    let (together, requests) = together(1, Script::answer(429, "retry-after: 3\r\n", ""), LONG).await;
    assert_eq!(outcomes(&together), [Outcome::Throttled { retry_after: Some(Duration::from_secs(3)) }]);
    assert!(requests[0].starts_with("POST /v1.0/users/"), "{requests:?}");
}

#[tokio::test]
async fn a_batch_whose_answer_does_not_come_whole_is_lost_within_its_time() {
    let endless: &[u8] = &[b' '; 8192];
    let length = TWO_ANSWERED.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let part = format!("{head}{}", &TWO_ANSWERED[..length - 2]);
    for (script, loss) in [
        (Script::cut(""), Loss::Transport),
        (Script::hold(""), Loss::Timeout),
        (Script::cut(&part), Loss::Transport),
        (Script::hold(&part), Loss::Transport),
        (Script::endless("HTTP/1.1 200 OK\r\n\r\n", endless), Loss::Transport),
    ] {
        let (together, requests) = together(2, script, SHORT).await;
        assert_eq!(outcomes(&together), [lost(loss); 2]);
        assert_eq!(requests.len(), 1, "sent again, past the keeper's count");
    }
}

#[tokio::test]
async fn a_service_without_batches_says_so_and_no_user_is_refused() {
    let body = r#"{"error":{"code":"BadRequest","message":"No batches."}}"#;
    let (together, _) = together(3, Script::answer(400, "", body), LONG).await;
    let Together::NotTaken(detail) = together else { panic!("{together:?}") };
    assert_eq!((detail.status, detail.code.as_deref()), (Some(400), Some("BadRequest")));
}
