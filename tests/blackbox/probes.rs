//! `/healthz`, `/readyz`, `/heldz` and the calls of `[ping]` through what a daemon goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::http_door::HttpDoor;
use crate::patience::until;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, id};

const FAST: [&str; 2] = ["--speed", "60"];

/// Whoever is called as long as all is well.
struct Watcher {
    address: std::net::SocketAddr,
    calls: Arc<AtomicU64>,
    says: Arc<AtomicU16>,
    _serving: JoinSet<()>,
}

impl Watcher {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, says) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU16::new(200)));
        let router = Router::new()
            .route(
                "/what-only-we-know",
                get(|State((calls, says)): State<(Arc<AtomicU64>, Arc<AtomicU16>)>| async move {
                    calls.fetch_add(1, Ordering::SeqCst);
                    StatusCode::from_u16(says.load(Ordering::SeqCst)).unwrap()
                }),
            )
            .with_state((Arc::clone(&calls), Arc::clone(&says)));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, calls, says, _serving: serving }
    }

    fn config(&self) -> String {
        format!("[ping]\nurl = \"http://{}/what-only-we-know\"\nevery = \"10s\"\n", self.address)
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns when so many more calls came.
    async fn called(&self, more: u64) {
        let before = self.calls();
        until("calls", async || (self.calls() >= before + more).then_some(())).await;
    }
}

fn reasons(body: &Value) -> String {
    body["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("; ")
}

#[tokio::test]
async fn probes_and_calls_say_how_it_is_from_start_to_stop() {
    let sandbox = Sandbox::start(&FAST).await;
    let watcher = Watcher::start().await;
    // At first there is no token: nothing is held.
    sandbox.faults(json!({"token": {"status": 503}})).await;
    let mut site = Site::new(&sandbox, (0..20).map(available));
    site.config.daemon = "on_stop = \"clear\"\nstop_timeout = \"10m\"".to_owned();
    let door = HttpDoor::of(&mut site, &watcher.config());
    let mut daemon = site.run_with(&FAST);
    daemon.event("token_failed").await;
    let unheld = door.until("/heldz", 503).await;
    assert!(reasons(&unheld).contains("20 of 20 sessions never granted yet"), "{unheld}");
    assert_eq!(door.probe("/healthz").await, (200, json!({"live": true})));
    assert_eq!(watcher.calls(), 0, "nobody is called at the start");

    sandbox.heal().await;
    let held = door.until("/heldz", 200).await;
    assert_eq!(held, json!({"held": true, "reasons": []}));
    let (ready, body) = door.probe("/readyz").await;
    assert_eq!((ready, body["config"].as_str().map(str::len)), (200, Some(7)));
    watcher.called(2).await;

    // An outage: alive and ready, and not held.
    sandbox.faults(json!({"outage": {"status": 503}})).await;
    daemon.event("app_down").await;
    let unheld = door.until("/heldz", 503).await;
    assert!(reasons(&unheld).contains("app contoso: no answer from Graph"), "{unheld}");
    assert_eq!((door.probe("/healthz").await.0, door.probe("/readyz").await.0), (200, 200));
    // The one that was under way when it was still good may be counted late.
    door.scrape_until("ten seconds", {
        let from = door.scrape().await.app("presenced_session_seconds_total", "state=\"held\"");
        move |scrape| {
            let spent =
                |state: &str| scrape.app("presenced_session_seconds_total", &format!("state=\"{state}\""));
            spent("held") + spent("lapsed") > from + 20.0 * 10.0
        }
    })
    .await;
    let silent = watcher.calls();
    daemon.event("lapsed").await;
    assert_eq!(watcher.calls(), silent, "nobody is called while sessions are not held");
    sandbox.heal().await;
    door.until("/heldz", 200).await;
    watcher.called(1).await;

    // The end: what is to be cleared is not, for a while.
    sandbox.faults(json!({"outage": {"status": 503}})).await;
    daemon.signal(Signal::TERM);
    daemon.event("stopping").await;
    let stopping = door.until("/readyz", 503).await;
    assert_eq!(stopping["ready"], false);
    let silent = watcher.calls();
    assert_eq!(door.probe("/healthz").await.0, 200);
    sandbox.heal().await;
    assert_eq!(daemon.exit_code().await, Some(0));
    assert_eq!(watcher.calls(), silent, "nobody is called while it stops");
    assert!(!daemon.log().contains("what-only-we-know"), "the path is nobody's business");
}

#[tokio::test]
async fn refused_users_count_from_tolerate_on() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"users": {id(0): {"status": 404}}})).await;
    let mut site = Site::new(&sandbox, (0..20).map(available));
    let door = HttpDoor::of(&mut site, "tolerate = \"5%\"");
    let mut daemon = site.run();
    daemon.event("parked").await;
    sandbox.until_sets(19).await;
    assert_eq!(door.until("/heldz", 200).await["held"], true, "one of 20 is 5 %");
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&text.replace("5%", "4%"));
    daemon.signal(Signal::HUP);
    let unheld = door.until("/heldz", 503).await;
    assert_eq!(reasons(&unheld), "1 of 20 sessions refused by Graph");
    assert_eq!(door.probe("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_call_that_fails_is_one_line_when_it_begins_and_one_when_it_ends() {
    let sandbox = Sandbox::start(&FAST).await;
    let watcher = Watcher::start().await;
    watcher.says.store(500, Ordering::SeqCst);
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.network = watcher.config();
    site.write();
    let mut daemon = site.run_with(&FAST);
    let failed = daemon.event("ping_failed").await;
    assert_eq!(
        (&failed["host"], &failed["error"]),
        (&json!(watcher.address.to_string()), &json!("status 500"))
    );
    watcher.called(3).await;
    watcher.says.store(204, Ordering::SeqCst);
    daemon.event("ping_works_again").await;
    watcher.called(3).await;
    assert_eq!((daemon.events("ping_failed").len(), daemon.events("ping_works_again").len()), (1, 1));
    assert!(!daemon.log().contains("what-only-we-know"));
}

#[tokio::test]
async fn with_every_account_of_an_app_deleted_it_is_ready_and_says_once_what_is_wrong() {
    let sandbox = Sandbox::start(&FAST).await;
    let mut site = Site::new(&sandbox, (0..50).map(available));
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run_with(&FAST);
    sandbox.until_sets(50).await;
    door.until("/heldz", 200).await;
    let refused = (0..50).map(|n| (id(n), json!({"status": 404}))).collect::<serde_json::Map<_, _>>();
    sandbox.faults(json!({ "users": refused })).await;

    let down = daemon.event("app_down").await;
    assert_eq!((&down["app"], &down["level"]), (&json!("contoso"), &json!("error")), "{down}");
    let unheld = door.until("/heldz", 503).await;
    assert!(reasons(&unheld).contains("50 of 50 sessions refused by Graph"), "{unheld}");
    let ten_minutes = |scrape: &crate::http_door::Scrape| {
        scrape.app("presenced_session_seconds_total", "state=\"parked\"") > 50.0 * 600.0
    };
    let later = door.scrape_until("ten minutes", ten_minutes).await;
    assert_eq!(later.app("presenced_app_up", ""), 0.0);
    assert_eq!(door.probe("/readyz").await.0, 200);
    assert_eq!(daemon.events("app_down").len(), 1, "one line: {}", daemon.log());
}
