//! Overrides and releases, on the service.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, in_a_call, user};

/// What a user shows by our session, or nothing.
async fn shows(sandbox: &Sandbox, n: u32) -> Option<String> {
    let user = sandbox.user(n).await;
    user["sessions"].as_array()?.first().map(|s| s["state"]["activity"].as_str().unwrap().to_owned())
}

async fn until_shows(sandbox: &Sandbox, n: u32, activity: Option<&str>) {
    crate::patience::until(&format!("user {n} shows {activity:?}"), async || {
        (shows(sandbox, n).await.as_deref() == activity).then_some(())
    })
    .await;
}

/// Asks the control socket itself.
async fn api(site: &Site, method: Method, path: &str, body: Value) -> (u16, Value) {
    let http = reqwest::Client::builder().unix_socket(site.path("control.sock")).no_proxy().build().unwrap();
    let mut request = http.request(method, format!("http://presenced{path}"));
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_set_reaches_the_service_within_a_second_and_ends_to_the_second() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (1..40).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 39).await;

    let began = Instant::now();
    let (code, out, err) =
        site.command(&["set", "user 7", "Busy", "InACall", "--for", "3s", "--reason", "a test"]).await;
    let reached = began.elapsed();

    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("Busy/InACall until ") && out.ends_with("; the service has it\n"), "{out}");
    assert!(reached < Duration::from_secs(1), "{reached:?}");
    assert_eq!(shows(&sandbox, 7).await.as_deref(), Some("InACall"));
    let line = daemon.events("set").pop().unwrap();
    assert_eq!((&line["because"], &line["to"]), (&json!("override:operator"), &json!("Busy/InACall")));
    let status = site.json(&["status", "user 7"]).await;
    let over = &status["sessions"][0]["overrides"][0];
    assert_eq!((&over["reason"], &over["holds"]), (&json!("a test"), &json!(true)));
    assert!(over["by"].as_str().unwrap().starts_with("uid "), "{over}");
    until_shows(&sandbox, 7, Some("Available")).await;
    let lasted = began.elapsed();
    assert!(lasted > Duration::from_millis(2_900) && lasted < Duration::from_secs(4), "it lasted {lasted:?}");
    let history = site.json(&["history", "user 7"]).await;
    let actions: Vec<&Value> = history["records"].as_array().unwrap().iter().map(|r| &r["action"]).collect();
    assert_eq!(actions, ["set", "expired"]);
    assert_eq!(history["records"][0]["before"], "Available/Available");
}

#[tokio::test]
async fn an_override_survives_kill_9_and_is_over_when_its_time_is() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (1..4).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    site.json(&["set", "user 1", "Away", "--for", "1h", "--reason", "lunch"]).await;
    site.json(&["set", "user 2", "Away", "--for", "2s"]).await;
    site.json(&["release", "user 3"]).await;
    until_shows(&sandbox, 1, Some("Away")).await;
    until_shows(&sandbox, 3, None).await;
    daemon.kill().await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let mut daemon = site.run();
    daemon.event("started").await;

    until_shows(&sandbox, 2, Some("Available")).await;
    assert_eq!(shows(&sandbox, 1).await.as_deref(), Some("Away"));
    assert_eq!(shows(&sandbox, 3).await, None, "released over a restart");
    let overrides = api(&site, Method::GET, "/v1/overrides", Value::Null).await.1;
    assert_eq!((&overrides["of"], &overrides["overrides"][0]["reason"]), (&json!(1), &json!("lunch")));
    assert_eq!(overrides["released"][0]["user"], id(3));
    let sets = sandbox.calls(1).await.iter().filter(|call| *call == "set_presence").count();
    assert_eq!(sets, 2, "the restart has set nothing anew for user 1");
    assert_eq!(site.command(&["unset", "user 1"]).await.1, "taken back; what holds is the config\n");
    until_shows(&sandbox, 1, Some("Available")).await;
    assert_eq!(site.command(&["resume"]).await.1, "resumed\n");
    until_shows(&sandbox, 3, Some("Available")).await;
    assert_eq!(site.command(&["resume"]).await.1, "nobody was released\n");
}

#[tokio::test]
async fn two_calls_on_one_user_in_any_order_of_ends_leave_the_right_state() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [user(1, "availability = \"Available\"\naliases = [\"2001\"]")]);
    let mut daemon = site.run();
    daemon.event("set").await;
    let call = json!({"availability": "Busy", "activity": "InACall", "ttl": 120});
    for first in ["line-1", "line-2"] {
        let second = if first == "line-1" { "line-2" } else { "line-1" };
        for line in ["line-1", "line-2"] {
            let (status, answer) =
                api(&site, Method::PUT, &format!("/v1/overrides/2001/{line}"), call.clone()).await;
            assert_eq!((status, &answer["kept"]), (200, &json!(true)), "{answer}");
        }
        until_shows(&sandbox, 1, Some("InACall")).await;
        let (_, answer) =
            api(&site, Method::DELETE, &format!("/v1/overrides/2001/{first}"), Value::Null).await;
        assert_eq!(
            (&answer["changed"], &answer["holds"]),
            (&json!(true), &json!(format!("override:{second}")))
        );
        assert_eq!(shows(&sandbox, 1).await.as_deref(), Some("InACall"), "after {first}");
        // An end that is told twice is no harm.
        let (status, answer) =
            api(&site, Method::DELETE, &format!("/v1/overrides/2001/{first}"), Value::Null).await;
        assert_eq!((status, &answer["changed"]), (200, &json!(false)));
        api(&site, Method::DELETE, &format!("/v1/overrides/2001/{second}"), Value::Null).await;
        until_shows(&sandbox, 1, Some("Available")).await;
    }
}

#[tokio::test]
async fn the_operator_goes_before_calls_and_a_reload_leaves_what_holds() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let mut daemon = site.run();
    daemon.event("set").await;
    let call = json!({"availability": "Busy", "activity": "InACall", "ttl": "10m", "priority": 1000});
    api(&site, Method::PUT, "/v1/overrides/user%201/a", call).await;
    until_shows(&sandbox, 1, Some("InACall")).await;
    let (_, out, _) = site.command(&["set", "user 1", "DoNotDisturb"]).await;
    assert!(out.contains("DoNotDisturb/Presenting until ") && out.contains("(8 h more)"), "{out}");
    until_shows(&sandbox, 1, Some("Presenting")).await;
    site.config.users = vec![user(1, "availability = \"Away\"")];
    site.write();
    site.command(&["reload"]).await;
    assert_eq!(shows(&sandbox, 1).await.as_deref(), Some("Presenting"));
    site.command(&["unset", "user 1"]).await;
    until_shows(&sandbox, 1, Some("InACall")).await;
    api(&site, Method::DELETE, "/v1/overrides/user%201/a", Value::Null).await;
    until_shows(&sandbox, 1, Some("Away")).await;
}

#[tokio::test]
async fn a_user_who_moves_to_another_app_takes_along_what_holds() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, []);
    site.config.apps.push("fabrikam");
    site.secret("fabrikam", crate::site::SECRET);
    let of = |app: &str| {
        let of = |n| user(n, &format!("availability = \"Available\"\napp = \"{app}\""));
        vec![of(1), of(2), user(3, "availability = \"Away\"\napp = \"contoso\"")]
    };
    site.config.users = of("contoso");
    site.write();
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    site.json(&["release", "user 1"]).await;
    let call = json!({"availability": "Busy", "activity": "InACall", "ttl": 600});
    api(&site, Method::PUT, "/v1/overrides/user%202/a", call).await;
    until_shows(&sandbox, 1, None).await;
    until_shows(&sandbox, 2, Some("InACall")).await;

    site.config.users = of("fabrikam");
    site.write();
    assert_eq!(site.command(&["reload"]).await.0, Some(0));

    sandbox.until("user 2 is cleared in the first app", |report| report["clears"] == 2).await;
    until_shows(&sandbox, 2, Some("InACall")).await;
    assert_eq!(shows(&sandbox, 1).await, None, "released wherever they are");
    let status = site.json(&["status", "user 2"]).await;
    assert_eq!(
        (&status["sessions"][0]["app"], &status["sessions"][0]["because"]),
        (&json!("fabrikam"), &json!("override:a"))
    );
    let (_, answer) = api(&site, Method::DELETE, "/v1/overrides/user%202/a", Value::Null).await;
    assert_eq!(answer["changed"], true);
    until_shows(&sandbox, 2, Some("Available")).await;
    site.command(&["resume"]).await;
    until_shows(&sandbox, 1, Some("Available")).await;
}

#[tokio::test]
async fn released_all_nothing_is_held_and_whoever_is_added_is_not_set() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..1_200).map(in_a_call));
    let mut daemon = site.run();
    sandbox.until_sets(1_200).await;
    assert_eq!(site.command(&["release", "--all", "--reason", "move"]).await.0, Some(0));
    sandbox.until("some clears", |report| report["clears"].as_u64() > Some(100)).await;
    site.config.users.push(available(5_000));
    site.write();
    assert_eq!(site.command(&["reload"]).await.0, Some(0));
    daemon.event("reloaded").await;
    assert!(site.command(&["status"]).await.1.contains("RELEASED: nothing is held for anyone"));
    assert_eq!(shows(&sandbox, 5_000).await, None);
    assert_eq!(site.command(&["resume"]).await.0, Some(0));
    until_shows(&sandbox, 5_000, Some("Available")).await;
}

#[tokio::test]
async fn a_call_is_not_shown_longer_than_its_time_when_the_daemon_is_killed() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(
        &sandbox,
        [user(1, "availability = \"Busy\"\nactivity = \"InACall\"\nexpiration = \"PT4H\"")],
    );
    let mut daemon = site.run();
    daemon.event("set").await;
    for (ttl, most) in [("20s", 5), ("30m", 31)] {
        let call = json!({"availability": "Busy", "activity": "InAConferenceCall", "ttl": ttl});
        api(&site, Method::PUT, "/v1/overrides/user%201/a", call).await;
        until_shows(&sandbox, 1, Some("InAConferenceCall")).await;
        let session = sandbox.user(1).await["sessions"][0].clone();
        let expires = session["expires_at_s"].as_f64().unwrap() - session["set_at_s"].as_f64().unwrap();
        assert!(expires <= f64::from(most * 60), "{ttl}: {expires} s");
        api(&site, Method::DELETE, "/v1/overrides/user%201/a", Value::Null).await;
        until_shows(&sandbox, 1, Some("InACall")).await;
    }
}

#[tokio::test]
async fn a_bad_request_is_told_what_would_be_right() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut daemon = site.run();
    daemon.event("set").await;
    let put = |body: Value| api(&site, Method::PUT, "/v1/overrides/user%201/a", body);
    let long = "x".repeat(300);
    for (body, told) in [
        (json!({"availability": "Busy"}), "needs an activity"),
        (json!({"availability": "Offline"}), "unknown availability `Offline`"),
        (json!({"availability": "Away", "ttl": "8d"}), "1 second to 7 days"),
        (json!({"availability": "Away", "ttl": 0}), "1 second to 7 days"),
        (json!({"availability": "Away", "ttl": "soon"}), "is no duration"),
        (json!({"availability": "Away", "tll": 5}), "unknown field `tll`"),
        (json!({"availability": "Away", "reason": long}), "at most 256 characters"),
        (json!({"activity": "Away"}), "missing field `availability`"),
    ] {
        let (status, answer) = put(body.clone()).await;
        assert!((400..=422).contains(&status), "{body}: {status}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(told), "{body}: {message}");
    }
    let (status, answer) =
        api(&site, Method::PUT, "/v1/overrides/nobody/a", json!({"availability": "Away"})).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("unknown")));
    assert_eq!(api(&site, Method::GET, "/v2", Value::Null).await.0, 404);
    assert_eq!(api(&site, Method::POST, "/v1/status", Value::Null).await.0, 405);
    let (code, _, err) = site.command(&["set", "user 1", "Busy"]).await;
    assert_eq!(
        (code, err.as_str()),
        (Some(2), "error: Busy needs an activity: InACall or InAConferenceCall\n")
    );
    assert_eq!(shows(&sandbox, 1).await.as_deref(), Some("Available"));
}
