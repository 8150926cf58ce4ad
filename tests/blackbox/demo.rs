//! `presenced demo`: the daemon against the embedded sandbox, for whoever has not set anything up.

use serde_json::Value;

use crate::patience::PATIENCE;
use crate::sandbox::Sandbox;
use crate::site::{SECRET, Site, available};

async fn demo(args: &[&str]) -> (Option<i32>, String) {
    let mut command = crate::daemon::presenced();
    command.args(["demo", "--for", "5s"]).args(args);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends by itself").unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn the_demo_holds_the_examples_users_and_says_so_in_json() {
    let (code, stdout) = demo(&["--json"]).await;

    assert_eq!(code, Some(0), "{stdout}");
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    // All of the example but the one that has none, and the three phones while the desk is closed.
    let sessions = outcome["sessions"].as_u64().unwrap();
    assert!([11, 14].contains(&sessions), "{outcome}");
    assert_eq!((&outcome["held"], &outcome["lapses"]), (&sessions.into(), &0.into()));
    assert!(outcome["virtual_seconds"].as_u64() >= Some(295), "{outcome}");
    // In five minutes those that fade were renewed at least once: two of them are Available at any time.
    assert!(outcome["renewals"].as_u64() >= Some(2), "{outcome}");
    assert!(outcome["refused"].is_u64(), "{outcome}");
}

#[tokio::test]
async fn the_demo_of_a_config_touches_nothing_that_the_config_names() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..4).map(available));
    std::fs::remove_file(site.path("contoso.secret")).unwrap();
    let config = site.config_file();

    let (code, stdout) = demo(&["--config", config.to_str().unwrap()]).await;

    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains('4') && !stdout.contains(SECRET), "{stdout}");
    assert!(!site.state_dir().exists());
    let report = sandbox.report().await;
    assert_eq!(
        (&report["requests"]["total"], &report["tokens"]["requests"]),
        (&0.into(), &0.into()),
        "{report:#}"
    );
}

#[tokio::test]
async fn the_demo_ends_when_nobody_watches_any_more() {
    let mut command = crate::daemon::presenced();
    command.args(["demo", "--for", "10m"]).stdout(std::process::Stdio::piped());
    let mut demo = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(demo.stdout.take());

    let output = tokio::time::timeout(PATIENCE, demo.wait_with_output()).await.expect("it ends").unwrap();

    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
