//! Exit codes, and commands that end by themselves.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::daemon::presenced;
use crate::sandbox::Sandbox;
use crate::secrecy;
use crate::site::{Site, available};

/// How a command ended, and what it said.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command that ends by itself.
pub async fn presenced_says(args: &[&str]) -> Outcome {
    let mut command = presenced();
    command.args(args);
    heard(command).await
}

/// The same with a command that is made already.
pub async fn heard(mut command: Command) -> Outcome {
    let output = tokio::time::timeout(crate::patience::PATIENCE, command.output());
    let output = output.await.expect("it ends by itself").unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        secrecy::search(&format!("what {command:?} says"), &text);
        text
    };
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test]
async fn without_a_config_file_it_is_78_and_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("presenced.toml");
    for command in ["run", "check", "plan"] {
        let outcome = presenced_says(&[command, "--config", missing.to_str().unwrap()]).await;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.code, Some(78), "{said}");
        assert!(said.contains("presenced.toml"), "{command}: {said}");
    }
}

#[tokio::test]
async fn wrong_usage_is_2_and_help_is_0() {
    for args in [
        &["runn"][..],
        &[],
        &["run", "--no-such-option"],
        &["run", "--speed", "0"],
        &["run", "--epoch", "2026-01-01T00:00:00Z"],
        &["run", "--log-format", "xml"],
        &["sandbox", "--listen", "0.0.0.0:0"],
    ] {
        let outcome = presenced_says(args).await;
        assert_eq!(outcome.code, Some(2), "{args:?}");
        assert!(!outcome.stderr.is_empty(), "{args:?}");
    }
    let outcome = presenced_says(&["--help"]).await;
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stdout.contains("sandbox"), "{}", outcome.stdout);
    assert_eq!(
        presenced_says(&["--version"]).await.stdout,
        format!("presenced {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn a_log_level_that_is_none_is_2() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let config = site.config_file();
    let outcome =
        presenced_says(&["run", "--log-level", "presenced=loud", "--config", config.to_str().unwrap()]).await;
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("presenced=loud"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_fast_clock_never_meets_a_service_beyond_this_machine() {
    let sandbox = Sandbox::start(&[]).await;
    let graph_away = ("https://graph.test".to_owned(), sandbox.url.clone());
    let login_away = (sandbox.url.clone(), "https://login.test".to_owned());
    for (graph, login) in [graph_away, login_away] {
        let site = Site::at(&graph, &login, [available(1)]);
        let mut daemon = site.run_with(&["--speed", "20"]);
        assert_eq!(daemon.exit_code().await, Some(2));
        let failed = daemon.event("start_failed").await;
        assert!(failed["error"].as_str().unwrap().contains("loopback"), "{failed}");
    }
    assert_eq!(sandbox.report().await["tokens"]["requests"], 0);
}

#[tokio::test]
async fn the_example_is_a_good_config() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let example = example.to_str().unwrap();
    let args = ["check", "--no-environment", "--deny-warnings", "--config", example];

    let outcome = presenced_says(&args).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(outcome.stdout.starts_with("ok: "), "{}", outcome.stdout);

    let outcome = presenced_says(&[&args[..], &["--json"]].concat()).await;
    let verdict: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        (&verdict["ok"], &verdict["errors"], &verdict["warnings"]),
        (&true.into(), &0.into(), &0.into())
    );
    assert!(verdict["config"]["apps"][0]["sessions"].as_u64() > Some(10), "{verdict:#}");
}

#[tokio::test]
async fn check_shows_every_problem_with_its_place() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..2).map(available));
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&text.replace("\"Available\"", "\"Bussy\"").replace("state_dir", "state_dire"));
    let config = site.config_file();

    let outcome = presenced_says(&["check", "--config", config.to_str().unwrap()]).await;

    assert_eq!(outcome.code, Some(78));
    for part in
        ["config.toml:3:1", "did you mean `state_dir`", "config.toml:16:16", "config.toml:20:16", "3 errors"]
    {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
}
