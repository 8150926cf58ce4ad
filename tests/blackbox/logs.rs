//! Log lines: their forms, and what is never in them.

use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::exits::presenced_says;
use crate::sandbox::Sandbox;
use crate::site::{SECRET, Site, available, id, in_a_call, user};

#[tokio::test]
async fn json_lines_hold_time_level_and_event() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..3).map(available));
    let mut daemon = site.run_with(&["--log-level", "debug"]);
    sandbox.until_sets(3).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    let log = daemon.log();
    assert!(log.lines().count() >= 7, "{log}");
    for line in log.lines() {
        let fields: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(fields["event"].is_string(), "{line}");
        let time: jiff::Timestamp = fields["time"].as_str().unwrap().parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 120, "{line}");
        assert!(["error", "warn", "info", "debug"].contains(&fields["level"].as_str().unwrap()), "{line}");
    }
    let set = daemon.event("set").await;
    assert_eq!((&set["to"], &set["because"]), (&"Available/Available".into(), &"added".into()), "{set}");
}

#[tokio::test]
async fn text_lines_are_for_people_and_the_level_holds() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..3).map(available));
    let mut command = crate::daemon::presenced();
    command.args(["run", "--log-format", "text", "--config"]).arg(site.config_file());
    let mut daemon = Daemon::spawn(command);
    sandbox.until_sets(3).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    let log = daemon.log();
    let started = log.lines().find(|line| line.contains(" started ")).unwrap_or_else(|| panic!("{log}"));
    let (time, rest) = started.split_once(' ').unwrap();
    time.parse::<jiff::Timestamp>().unwrap();
    assert!(rest.starts_with(" INFO started version="), "{rest}");
    assert!(rest.contains(" sessions=3 ") && !log.contains('\x1b'), "{log}");
    // Where nobody has chosen, and stderr is neither terminal nor journal, it is JSON; and warn is quiet.
    let mut command = crate::daemon::presenced();
    command.args(["run", "--log-level", "warn", "--config"]).arg(site.config_file());
    let good = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replace("[[app]]", "[[app]"));
    let mut daemon = Daemon::spawn(command);
    daemon.event("running_on_last_good").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    assert!(daemon.log().lines().all(|line| !line.contains("\"info\"")), "{}", daemon.log());
}

#[tokio::test]
async fn a_change_is_one_line_and_a_renewal_none() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..20).map(available));
    let mut daemon = site.run();
    sandbox.until_sets(20).await;
    site.config.users.splice(0..3, [in_a_call(2)]);
    site.write();
    daemon.signal(Signal::HUP);
    sandbox.until("the change", |report| report["sets"] == 21 && report["clears"] == 2).await;
    daemon.all_said("set", 21).await;
    daemon.signal(Signal::USR1);
    let line = daemon.event("renew_all").await;
    assert_eq!(line["by_pid"], std::process::id());
    sandbox.until_sets(21 + 18).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    let count = |event: &str| daemon.events(event).len();
    assert_eq!((count("set"), count("cleared")), (21, 2), "{}", daemon.log());
    let change = daemon.events("set").into_iter().find(|line| line["because"] == "config").unwrap();
    assert_eq!((&change["from"], &change["to"]), (&"Available/Available".into(), &"Busy/InACall".into()));
    // Started, listening, a token, reloaded, the prompt, stopping, stopped; and a summary a minute.
    let others = daemon.log().lines().count() - 23 - count("summary");
    assert_eq!(others, 7, "{}", daemon.log());
}

#[tokio::test]
async fn people_appear_as_the_config_says() {
    let sandbox = Sandbox::start(&[]).await;
    for (users, expected) in [("id", Some(id(1))), ("name", Some("user 1".to_owned())), ("hash", None)] {
        let mut site = Site::new(&sandbox, [available(1)]);
        site.config.top = format!("log = {{ users = \"{users}\" }}");
        site.write();
        let mut daemon = site.run();
        let shown = daemon.event("set").await["user"].as_str().unwrap().to_owned();
        if let Some(expected) = expected {
            assert_eq!(shown, expected);
        } else {
            assert!(shown.len() == 12 && shown.bytes().all(|byte| byte.is_ascii_hexdigit()), "{shown}");
            daemon.signal(Signal::TERM);
            daemon.exit_code().await;
            assert!(!daemon.log().contains(&id(1)) && !daemon.log().contains("user 1"), "{}", daemon.log());
        }
    }
}

/// Every file below a directory, as text.
fn all_files(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[tokio::test]
async fn no_secret_and_no_token_is_ever_written_anywhere() {
    const CANARY: &str = "canary-secret~8Q.with+odd/signs=";
    let sandbox = Sandbox::watched(&["--speed", "10", "--secret", SECRET]).await;
    let mut site = Site::new(&sandbox, (0..10).map(available));
    site.secret("contoso", CANARY);
    // All that any library has to say, too.
    let mut daemon = site.run_with(&["--speed", "10", "--log-level", "trace,presenced=trace"]);
    daemon.event("token_failed").await;
    sandbox.faults(json!({"secret": CANARY})).await;
    daemon.event("token_granted").await;
    sandbox.until_sets(10).await;
    // A token that is rejected, and no new one: a gateway's page first, then half an answer.
    let failed = daemon.events("token_failed").len();
    sandbox.faults(json!({"token": {"status": 503, "body": "html"}, "revoke_tokens": true})).await;
    site.config.users = (0..10).map(in_a_call).collect();
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("token_rejected").await;
    daemon.all_said("token_failed", failed + 1).await;
    sandbox.faults(json!({"token": {"status": 200, "body": "broken_json"}})).await;
    // The next one may have been on its way.
    let failed = daemon.events("token_failed").len();
    daemon.all_said("token_failed", failed + 2).await;
    // Users that are refused in several ways.
    let users = json!({id(1): {"status": 401}, id(2): {"status": 403}, id(3): {"reset": true}});
    sandbox.faults(json!({"token": null, "users": users})).await;
    daemon.event("token_granted").await;
    daemon.all_said("parked", 2).await;
    // A file that cannot be read, with the secret where it does not belong.
    let good = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replace("{ secret_file = \"contoso.secret\" }", &format!("\"{CANARY}\"")));
    daemon.signal(Signal::HUP);
    daemon.event("reload_refused").await;
    let check = presenced_says(&["check", "--config", site.config_file().to_str().unwrap()]).await;
    assert_eq!(check.code, Some(78));
    site.config.users.push(user(11, "availability = \"Away\""));
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("reloaded").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    let mut texts = vec![("the log".to_owned(), daemon.log())];
    texts.push(("check".to_owned(), check.stdout + &check.stderr));
    let files = all_files(&site.state_dir());
    assert!(files.iter().any(|(path, text)| path.ends_with("last.json") && text.contains("contoso.secret")));
    assert!(files.len() >= 3 && texts[0].1.len() > 10_000, "there is something to look through");
    texts.extend(files);
    let encoded: String = url::form_urlencoded::byte_serialize(CANARY.as_bytes()).collect();
    for (place, text) in texts {
        crate::secrecy::search(&place, &text);
        for canary in [CANARY, encoded.as_str(), "canary-secret", "Bearer "] {
            if let Some(at) = text.find(canary) {
                let around: String =
                    text[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{canary:?} in {place}, after {around}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_goes_to_standard_output() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut command = crate::daemon::presenced();
    command.args(["run", "--config"]).arg(site.config_file());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    sandbox.until_sets(1).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let output =
        tokio::time::timeout(crate::patience::PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[tokio::test]
async fn a_refused_user_is_told_with_what_to_do() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1), available(2)]);
    sandbox.faults(json!({"users": {id(1): {"status": 403}}})).await;
    let mut daemon = site.run();
    let parked = daemon.event("parked").await;
    assert!(parked["advice"].as_str().unwrap().contains("Presence.ReadWrite.All"), "{parked}");
}

#[tokio::test]
async fn an_empty_log_level_is_none() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut command = crate::daemon::presenced();
    command.envs([("RUST_LOG", ""), ("PRESENCED_LOG", "")]);
    command.args(["run", "--config"]).arg(site.config_file());
    let mut daemon = Daemon::spawn(command);
    assert_eq!(daemon.event("started").await["level"], "info");
}

#[tokio::test]
async fn where_no_journal_answers_lines_go_to_standard_error() {
    use std::os::unix::fs::MetadataExt;
    if Path::new("/run/systemd/journal/socket").exists() {
        println!("not tried: there is a journal on this machine");
        return;
    }
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let stderr = std::fs::File::create(site.path("stderr")).unwrap();
    let meta = stderr.metadata().unwrap();
    let mut command = crate::daemon::presenced();
    command.env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()));
    command.args(["run", "--config"]).arg(site.config_file());
    let mut child = command.stderr(stderr).spawn().unwrap();
    sandbox.until_sets(1).await;
    child.kill().await.unwrap();
    let log = std::fs::read_to_string(site.path("stderr")).unwrap();
    assert!(log.starts_with('{') && log.contains("\"started\""), "{log}");
}
