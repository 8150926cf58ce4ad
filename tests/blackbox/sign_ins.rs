//! A user's refresh token, which is good only once at this service: it outlives full disks, stops, and the doctor beside the
//! daemon.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::exits::presenced_says;
use crate::sandbox::Sandbox;
use crate::site::Site;
use crate::ways::{Login, SPEED, kept, login_fails, more_tokens, register, write};

/// An app that acts for user 1, who has signed in.
async fn signed_in(speed: &[&str]) -> (Sandbox, Site) {
    let sandbox = Sandbox::start(speed).await;
    register(&sandbox, json!({"public_client": true, "single_use_refresh": true, "token_life_s": 120})).await;
    let site = Site::new(&sandbox, []);
    write(&site, &sandbox, "{ delegated = true }", "", 1..2);
    std::fs::create_dir(site.state_dir()).unwrap();
    sign_in(&sandbox, &site, speed).await;
    (sandbox, site)
}

async fn sign_in(sandbox: &Sandbox, site: &Site, speed: &[&str]) {
    let login = Login::begin(site, speed).await;
    sandbox.sign_in(&login.code, Some(1)).await;
    let (status, said) = login.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
}

fn refresh_token(site: &Site) -> String {
    let kept: Value = serde_json::from_slice(&std::fs::read(kept(site)).unwrap()).unwrap();
    kept["refresh_token"].as_str().unwrap().to_owned()
}

/// Stops the daemon in good order; its log holds no refresh token.
async fn stop(mut daemon: Daemon, site: &Site) -> Daemon {
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0), "{}", daemon.log());
    assert!(!daemon.log().contains(&refresh_token(site)), "a refresh token is in the log");
    daemon
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_written_is_used_from_memory_until_it_can_be() {
    let (sandbox, site) = signed_in(&SPEED).await;
    // No rights would stop root.
    let beside = site.state_dir().join("login/.contoso.json");
    let block = |beside: &Path| std::fs::create_dir(beside).unwrap();
    let mut daemon = site.run_with(&SPEED);
    daemon.event("token_granted").await;
    let report = sandbox.until_sets(1).await;

    block(&beside);
    let told = daemon.event("sign_in_not_kept").await;
    assert_eq!((&told["app"], &told["level"]), (&"contoso".into(), &"error".into()), "{told}");
    assert!(told["error"].as_str().unwrap().contains("directory") && told["advice"].is_string(), "{told}");
    let (on_disk, report) = (refresh_token(&site), more_tokens(&sandbox, &report, 4).await);
    assert_eq!(daemon.events("sign_in_not_kept").len(), 1, "told once");
    assert_eq!(refresh_token(&site), on_disk);

    std::fs::remove_dir(&beside).unwrap();
    assert_eq!(daemon.event("sign_in_kept_again").await["level"], "info");
    assert_ne!(refresh_token(&site), on_disk);
    more_tokens(&sandbox, &report, 1).await;
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());
    daemon.kill().await;

    // A stop tries once more, however long the next fetch is away.
    let mut daemon = site.run_with(&SPEED);
    daemon.event("token_granted").await;
    block(&beside);
    daemon.event("sign_in_not_kept").await;
    std::fs::remove_dir(&beside).unwrap();
    let mut daemon = stop(daemon, &site).await;
    daemon.event("sign_in_kept_again").await;
    let mut daemon = site.run_with(&SPEED);
    daemon.event("token_granted").await;
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());
    assert_eq!(sandbox.report().await["lapses"], 0);
}

#[tokio::test]
async fn a_stop_waits_for_the_answer_to_a_refresh_token() {
    let (sandbox, site) = signed_in(&[]).await;
    let first = refresh_token(&site);
    sandbox.faults(json!({"latency_ms": {"min": 1500, "max": 1500}})).await;
    let daemon = site.run();
    sandbox.until("a token request", |report| report["tokens"]["in_flight"] == 1).await;
    stop(daemon, &site).await;
    assert_ne!(refresh_token(&site), first, "the next one is on disk");

    sandbox.heal().await;
    let mut daemon = site.run();
    daemon.event("token_granted").await;
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_refresh_token_for_longer_than_it_may_take() {
    let (sandbox, site) = signed_in(&SPEED).await;
    let first = refresh_token(&site);
    sandbox.faults(json!({"token": {"hang": true}})).await;
    let daemon = site.run_with(&SPEED);
    sandbox.until("a token request", |report| report["tokens"]["in_flight"] == 1).await;
    stop(daemon, &site).await;
    assert_eq!(refresh_token(&site), first);
}

#[tokio::test]
async fn the_doctor_and_the_daemon_do_not_use_one_refresh_token_at_once() {
    let (sandbox, site) = signed_in(&SPEED).await;
    // A fifth of a second of the world.
    sandbox.faults(json!({"latency_ms": {"min": 4000, "max": 4000}})).await;
    let mut daemon = site.run_with(&SPEED);
    daemon.event("token_granted").await;
    let report = sandbox.until_sets(1).await;
    let granted = |report: &Value| report["tokens"]["granted"].as_u64().unwrap();
    let (mut visits, mut by_daemon) = (0, 0);
    while by_daemon < 4 {
        let config = site.config_file();
        let visit = presenced_says(&["doctor", "--json", "--config", config.to_str().unwrap()]).await;
        visits += 1;
        let found: Value = serde_json::from_str(&visit.stdout).unwrap();
        let checks = found["apps"][0]["checks"].as_array().unwrap();
        let token = checks.iter().find(|check| check["check"] == "token").unwrap();
        assert_eq!(token["status"], "ok", "{found:#}");
        by_daemon = granted(&sandbox.report().await) - granted(&report) - visits;
        assert!(visits < 100, "the daemon asks for no more tokens");
    }
    assert!(daemon.events("token_failed").is_empty(), "{}", daemon.log());
    stop(daemon, &site).await;
}

#[tokio::test]
async fn nobody_is_asked_to_sign_in_where_that_cannot_be_kept() {
    let sandbox = Sandbox::start(&[]).await;
    register(&sandbox, json!({"public_client": true})).await;
    let site = Site::new(&sandbox, []);
    write(&site, &sandbox, "{ delegated = true }", "", 1..2);
    let (code, said) = login_fails(&site, "contoso").await;
    assert!(code == Some(1) && said.contains("the daemon makes it when it starts"), "{code:?}: {said}");
    std::fs::create_dir(site.state_dir()).unwrap();
    std::fs::write(site.state_dir().join("login"), "no directory").unwrap();
    let (code, said) = login_fails(&site, "contoso").await;
    assert!(code == Some(1) && said.contains("login/contoso.json"), "{code:?}: {said}");
    let report = sandbox.report().await;
    assert_eq!(report["tokens"]["requests"], 0, "nobody was asked: {report:#}");
}

#[tokio::test]
async fn another_user_in_the_config_than_the_one_who_signed_in_is_told_and_taken_back_at_once() {
    let (sandbox, site) = signed_in(&[]).await;
    let mut daemon = site.run();
    daemon.event("token_granted").await;
    let report = sandbox.until_sets(1).await;
    write(&site, &sandbox, "{ delegated = true }", "", 2..3);
    daemon.signal(Signal::HUP);
    let failed = daemon.event("token_failed").await;
    assert_eq!(failed["class"], "fix_config", "{failed}");
    assert!(failed["meaning"].as_str().unwrap().contains("another user has signed in"), "{failed}");
    assert!(failed["advice"].as_str().unwrap().contains("`presenced login contoso`"), "{failed}");
    assert_eq!(sandbox.report().await["tokens"], report["tokens"], "no refresh token is spent on it");

    // Nobody has to sign in again for it.
    write(&site, &sandbox, "{ delegated = true }", "", 1..2);
    daemon.signal(Signal::HUP);
    daemon.event("token_granted").await;
    more_tokens(&sandbox, &report, 1).await;
}
