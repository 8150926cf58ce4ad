//! Twenty minutes of a thousand users, judged by the service and by Microsoft's description of the calls.

use std::path::Path;
use std::time::Duration;

use axum::http::Request;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::graph::{Checkpoint, Contract, drift};
use crate::sandbox::Sandbox;
use crate::site::{Site, User, client_id, id, user};

/// What users of the config may be wished to show, as the service counts it, and how it is written.
const STATES: [(&str, &str); 6] = [
    ("Available", "availability = \"Available\""),
    ("Available", "availability = \"Available\"\nexpiration = \"PT5M\""),
    ("InACall", "availability = \"Busy\"\nactivity = \"InACall\"\nexpiration = \"PT15M\""),
    ("InAConferenceCall", "availability = \"Busy\"\nactivity = \"InAConferenceCall\"\nexpiration = \"PT5M\""),
    ("Away", "availability = \"Away\"\nexpiration = \"PT4H\""),
    ("Presenting", "availability = \"DoNotDisturb\""),
];

fn thousand() -> Vec<User> {
    let user = |n: u32| user(n, STATES[n as usize % STATES.len()].1);
    (0..1_000).map(user).collect()
}

#[tokio::test]
async fn a_thousand_users_are_held_for_twenty_minutes_by_valid_requests_and_few_lines() {
    // Tokens for ten minutes: they are renewed, too.
    let sandbox = Sandbox::start(&["--speed", "20", "--token-life", "10m", "--latency", "50-250"]).await;
    let checkpoint = Checkpoint::before(&sandbox.url).await;
    let site = Site::at(&checkpoint.url, &sandbox.url, thousand());
    let mut daemon = site.run_with(&["--speed", "20"]);
    daemon.event("started").await;

    let twenty_minutes = Duration::from_secs(60) + crate::patience::PATIENCE;
    let passed = |report: &Value| report["virtual_seconds"].as_f64() >= Some(1_230.0);
    let report = sandbox.until_within(twenty_minutes, "twenty minutes", passed).await;

    for (figure, expected) in
        [("sessions", 1_000), ("lapses", 0), ("lapsed_now", 0), ("throttled", 0), ("invalid_requests", 0)]
    {
        assert_eq!(report[figure], expected, "{figure}: {report:#}\n{}", daemon.log());
    }
    assert!(report["peak_window"].as_u64() <= Some(1_500), "{report:#}");
    for (name, _) in STATES {
        let users = (0..1_000).filter(|n| STATES[n % STATES.len()].0 == name).count();
        assert_eq!(report["by_state"][name], users, "{name}: {report:#}");
    }

    let seen = checkpoint.take();
    assert_eq!(seen.wrong, Vec::<String>::new());
    // At the least, all of it is what the service counted; and each third of the users is renewed every 150 s.
    assert_eq!(seen.calls.len(), 1, "{:?}", seen.calls);
    let sets = seen.calls["/users/{user-id}/presence/setPresence"];
    assert!(sets >= report["requests"]["total"].as_u64().unwrap(), "{sets} {report:#}");
    assert!(sets > 1_000 + 334 * 7, "{sets} requests are too few to hold a thousand");
    // The last token has minutes to go.
    assert!((3..=5).contains(&report["tokens"]["granted"].as_u64().unwrap()), "{report:#}");
    assert_eq!(report["tokens"]["max_in_flight"], 1);

    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    let log = daemon.log();
    let unexpected: Vec<&str> = log.lines().filter(|line| !is_news(line)).collect();
    assert!(unexpected.is_empty(), "lines about nothing new: {unexpected:#?}");
    assert!(log.lines().count() < 20, "{log}");
    let summaries = daemon.events("summary");
    assert!(!summaries.is_empty() && summaries.iter().all(|line| line["lapsed"] == 0), "{log}");
}

/// Whether a line is one of those that a plan of a thousand and twenty minutes of quiet give reason for.
fn is_news(line: &str) -> bool {
    let line: Value = serde_json::from_str(line).unwrap();
    let names =
        ["started", "listening", "config_warnings", "token_granted", "summary", "stopping", "stopped"];
    names.iter().any(|name| line["event"] == *name)
}

fn request(method: &str, path: &str, body: &Value) -> (axum::http::request::Parts, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", "t".repeat(200)))
        .header("content-type", "application/json")
        .header("client-request-id", id(1))
        .header("user-agent", "presenced/0")
        .body(())
        .unwrap();
    (request.into_parts().0, body.to_string().into_bytes())
}

#[test]
fn the_checkpoint_lets_nothing_wrong_pass() {
    let contract = Contract::read();
    let set = format!("/v1.0/users/{}/presence/setPresence", id(1));
    let clear = format!("/v1.0/users/{}/presence/clearPresence", id(1));
    let good = json!({"sessionId": client_id(0), "availability": "Busy", "activity": "InACall",
        "expirationDuration": "PT60M"});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let without = |key: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(key);
        body
    };
    let check = |method: &str, path: &str, body: Value| {
        let (head, body) = request(method, path, &body);
        contract.check(&head, &body).map(str::to_owned)
    };

    check("POST", &set, good.clone()).unwrap();
    check("POST", &clear, json!({"sessionId": client_id(0)})).unwrap();

    for (method, path, body) in [
        ("GET", set.as_str(), good.clone()),
        ("POST", &set[5..], good.clone()),
        ("POST", "/v1.0/users/reception/presence/setPresence", good.clone()),
        ("POST", &format!("{set}?a=b"), good.clone()),
        ("POST", &clear, good.clone()),
        ("POST", &clear, json!({})),
        ("POST", &set, without("activity")),
        ("POST", &set, without("sessionId")),
        ("POST", &set, with("sessionId", id(1).into())),
        ("POST", &set, with("activity", "InAMeeting".into())),
        ("POST", &set, with("availability", 3.into())),
        ("POST", &set, with("expirationDuration", "60M".into())),
        ("POST", &set, with("expirationDuration", "PT1M".into())),
        ("POST", &set, with("expirationDuration", "PT5H".into())),
        ("POST", &set, with("note", "x".into())),
        ("POST", &set, json!([])),
    ] {
        assert!(check(method, path, body.clone()).is_err(), "{method} {path} {body}");
    }
    let item = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut item = json!({"id": id, "method": "POST", "url": &set[5..],
            "headers": {"Content-Type": "application/json"}, "body": good.clone()});
        change(&mut item);
        item
    };
    let batch = |items: Vec<Value>| check("POST", "/v1.0/$batch", json!({ "requests": items }));
    let two = |change: &dyn Fn(&mut Value)| batch(vec![item("0", &|_| {}), item("1", change)]);
    two(&|_| {}).unwrap();
    let changes: [&dyn Fn(&mut Value); 9] = [
        &|item| item["id"] = "0".into(),
        &|item| item["id"] = 1.into(),
        &|item| item["method"] = "GET".into(),
        &|item| item["url"] = set.clone().into(),
        &|item| item["url"] = "/$batch".into(),
        &|item| item["headers"] = json!({}),
        &|item| item["dependsOn"] = json!(["0"]),
        &|item| item["body"]["activity"] = "InAMeeting".into(),
        &|item| item["body"]["expirationDuration"] = "PT5H".into(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert!(two(change).is_err(), "change {at}");
    }
    assert!(batch((0..21).map(|id| item(&id.to_string(), &|_| {})).collect()).is_err());

    let read = |path: &str, change: &dyn Fn(&mut axum::http::request::Parts)| {
        let (mut head, _) = request("GET", path, &json!(null));
        head.headers.remove("content-type");
        change(&mut head);
        contract.check(&head, b"").map(str::to_owned)
    };
    let members = format!("/v1.0/groups/{}/transitiveMembers/microsoft.graph.user", id(1));
    read(&format!("{members}?$select=id&$top=999&$count=true"), &|_| {}).unwrap();
    read("/v1.0/users/desk@contoso.com?$select=id", &|_| {}).unwrap();
    assert!(read(&format!("{members}?$filter=x"), &|_| {}).is_err());
    assert!(read("/v1.0/groups", &|_| {}).is_err());
    assert!(read(&members, &|head| drop(head.headers.remove("authorization"))).is_err());
    assert!(read(&members, &|head| head.method = axum::http::Method::POST).is_err());

    for header in ["authorization", "content-type", "client-request-id", "user-agent"] {
        let (mut head, body) = request("POST", &set, &good);
        head.headers.remove(header);
        assert!(contract.check(&head, &body).is_err(), "without {header}");
    }
}

/// The whole description is kept beside the project, where there is one.
#[test]
fn the_description_at_hand_says_what_the_whole_one_says() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/graph/presence.openapi.yaml");
    if whole.exists() {
        assert_eq!(drift(&whole), Vec::<String>::new());
    } else {
        println!("not compared: there is no {}", whole.display());
    }
}
