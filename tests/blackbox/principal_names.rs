//! Users by their principal names, on the service: looked up once, again after a day, and never lost by a look-up that fails.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::entra::{FAST, holds, is_cleared, listed, nobody_is_lost, reads};
use crate::sandbox::Sandbox;
use crate::schedules::Fast;
use crate::site::{Site, id, user};

/// A user by this principal name, who is away.
pub fn by_name(name: &str) -> String {
    format!("[[user]]\nid = \"{name}\"\navailability = \"Away\"\n")
}

#[tokio::test]
async fn a_principal_name_is_looked_up_once_and_again_after_a_day() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.define_user(1, json!({"userPrincipalName": "anna@contoso.com", "displayName": "Anna"})).await;
    let mut site = Site::new(&sandbox, [listed()]);
    site.config.control.push_str(&by_name("Anna@contoso.com"));
    site.write();
    let fast = Fast::showing("2027-01-15T08:00:00Z", 120);
    let mut daemon = fast.run(&site);
    let found = daemon.event("user_found").await;
    assert_eq!((&found["name"], &found["user"]), (&json!("anna@contoso.com"), &json!(id(1))), "{found}");
    holds(&sandbox, [1]).await;
    daemon.event("reloaded").await;
    let why = site.json(&["status", "Anna@contoso.com"]).await;
    assert!(why.to_string().contains(&id(1)), "{why:#}");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    assert_eq!(reads(&sandbox, "get_user", "200").await, 1);

    // Renamed while the daemon was down; the next look is due a day after the first, half an hour from here.
    sandbox.define_user(1, json!({"userPrincipalName": "anna.berg@contoso.com"})).await;
    let fast = Fast::showing("2027-01-16T07:30:00Z", 120);
    let mut daemon = fast.run(&site);
    assert_eq!(daemon.event("started").await["sessions"], 2);
    assert_eq!(reads(&sandbox, "get_user", "404").await, 0, "not before it is due");
    let line = daemon.event("user_unknown").await;
    assert!(fast.now() >= "2027-01-16T08:00:00Z".parse().unwrap());
    assert_eq!((&line["name"], &line["user"]), (&json!("anna@contoso.com"), &json!(id(1))), "{line}");
    let status = site.json(&["status"]).await;
    assert_eq!(status["config_trouble"], "one user principal name is nobody's", "{status:#}");
    assert_eq!(status["sessions"]["wanted"], 2, "the session goes on");
    assert_eq!(sandbox.report().await["clears"], 0);

    // The name is given to somebody else.
    sandbox.define_user(2, json!({"userPrincipalName": "anna@contoso.com"})).await;
    let found = daemon.event("user_found").await;
    assert_eq!((&found["user"], &found["was"]), (&json!(id(2)), &json!(id(1))), "{found}");
    holds(&sandbox, [2]).await;
    is_cleared(&sandbox, 1).await;
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_takes_no_session_away() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.define_user(1, json!({"userPrincipalName": "anna@contoso.com"})).await;
    let mut site = Site::new(&sandbox, [listed()]);
    site.config.control.push_str(&(by_name("anna@contoso.com") + &by_name("ben@contoso.com")));
    site.write();
    let mut daemon = site.run_with(&FAST);
    holds(&sandbox, [1]).await;
    let line = daemon.event("user_unknown").await;
    assert_eq!((&line["name"], &line["user"]), (&json!("ben@contoso.com"), &Value::Null), "{line}");
    sandbox.directory_faults(json!({"trouble": {"status": 403}})).await;
    // What is nobody's is looked up again soon.
    let line = daemon.event("user_read_failed").await;
    assert!(line["advice"].as_str().unwrap().contains("User.ReadBasic.All"), "{line}");
    nobody_is_lost(&sandbox).await;
    sandbox.heal().await;
    daemon.event("user_read_again").await;
}

#[tokio::test]
async fn a_user_who_is_written_by_name_from_now_on_is_not_cleared_meanwhile() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.define_user(1, json!({"userPrincipalName": "anna@contoso.com"})).await;
    let mut site = Site::new(&sandbox, [listed(), user(1, "availability = \"Away\"")]);
    let mut daemon = site.run_with(&FAST);
    holds(&sandbox, [1]).await;
    sandbox.directory_faults(json!({"trouble": {"status": 403}})).await;
    site.config.users = vec![listed()];
    site.config.control.push_str(&by_name("anna@contoso.com"));
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("reloaded").await;
    daemon.event("user_read_failed").await;
    nobody_is_lost(&sandbox).await;
    sandbox.heal().await;
    daemon.event("user_found").await;
    daemon.event("user_read_again").await;
    nobody_is_lost(&sandbox).await;
    assert_eq!(site.json(&["status"]).await["sessions"]["wanted"], 2);
}
