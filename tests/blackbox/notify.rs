//! `[[notify]]`: a command is run when something is wrong, told of it, and once more when it is over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};

use crate::daemon::{Daemon, presenced};
use crate::patience::until;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, id};

/// Puts a script beside the config.
fn script(site: &Site, name: &str, text: &str) -> PathBuf {
    let path = site.path(name);
    // Written by another process: one that this one forks meanwhile must not hold it open for writing while it is run.
    let next = site.path("script.next");
    fs::write(&next, format!("#!/bin/sh\n{text}\n")).unwrap();
    let copied = std::process::Command::new("cp").arg(&next).arg(&path).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// A script that keeps what it is told, one object a line, and its environment.
fn keeper(site: &Site) -> PathBuf {
    let dir = site.path("told").display().to_string();
    fs::create_dir(&dir).unwrap();
    script(
        site,
        "keep",
        &format!("env > {dir}/env; echo \"$@\" > {dir}/arguments; pwd > {dir}/pwd; cat >> {dir}/all"),
    )
}

/// What the script was told so far.
fn told(site: &Site) -> Vec<Value> {
    let text = fs::read_to_string(site.path("told/all")).unwrap_or_default();
    // The last line may be on its way.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn told_so_many(site: &Site, count: usize) -> Vec<Value> {
    until("a notice", async || Some(told(site)).filter(|told| told.len() >= count)).await
}

fn notify(on: &str, rest: &str, command: &[&str]) -> String {
    format!("[[notify]]\non = [{on}]\n{rest}\ncommand = {}\n", json!(command))
}

#[tokio::test]
async fn a_user_who_is_refused_is_told_with_advice_and_once_more_when_it_is_over() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"users": {id(2): {"status": 404}}})).await;
    let mut site = Site::new(&sandbox, (1..4).map(available));
    let keep = keeper(&site).display().to_string();
    site.config.control = notify("\"parked\"", "", &[&keep, "on call", "$HOME; `id`"]);
    site.write();
    let mut daemon = site.run();

    let begin = told_so_many(&site, 1).await.remove(0);
    let config = daemon.event("started").await["config"].clone();
    assert_eq!(
        (&begin["event"], &begin["state"], &begin["app"]),
        (&json!("parked"), &json!("begin"), &json!("contoso"))
    );
    assert_eq!((&begin["count"], &begin["users"], &begin["config"]), (&json!(1), &json!([id(2)]), &config));
    assert_eq!(begin["version"], env!("CARGO_PKG_VERSION"));
    assert!(begin["detail"].as_str().unwrap().starts_with("status 404"), "{begin:#}");
    assert!(!begin["advice"].as_str().unwrap().is_empty() && !begin["host"].as_str().unwrap().is_empty());
    assert!(begin["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(fs::read_to_string(site.path("told/arguments")).unwrap(), "on call $HOME; `id`\n", "no shell");
    assert_eq!(fs::read_to_string(site.path("told/pwd")).unwrap(), "/\n");
    let line = daemon.event("notified").await;
    assert_eq!(
        (&line["of"], &line["state"], &line["command"]),
        (&json!("parked"), &json!("begin"), &json!(keep))
    );

    sandbox.heal().await;
    // A reload tries everyone again at once.
    daemon.signal(Signal::HUP);
    let end = told_so_many(&site, 2).await.remove(1);
    assert_eq!((&end["state"], &end["since"], &end["count"]), (&json!("end"), &begin["since"], &json!(1)));
    daemon.event("notified").await;
    assert_eq!(told(&site).len(), 2);
}

#[tokio::test]
async fn an_app_that_is_down_is_told_after_its_time_and_users_by_their_names() {
    let sandbox = Sandbox::start(&["--speed", "60"]).await;
    let mut site = Site::new(&sandbox, (1..4).map(available));
    let keep = keeper(&site).display().to_string();
    site.config.control =
        notify("\"app_down\", \"lapsed\"", "for = \"2m\"", &[&keep]) + "[log]\nusers = \"name\"\n";
    site.write();
    let mut daemon = site.run_with(&["--speed", "60"]);
    daemon.all_said("set", 3).await;
    sandbox.faults(json!({"outage": {"status": 503}})).await;

    daemon.event("app_down").await;
    let begun = told_so_many(&site, 2).await;
    assert_eq!(
        (&begun[0]["event"], &begun[1]["event"]),
        (&json!("app_down"), &json!("lapsed")),
        "{begun:#?}"
    );
    assert!(
        begun.iter().all(|notice| (120..200).contains(&notice["held_s"].as_u64().unwrap())),
        "{begun:#?}"
    );
    assert!(begun[0]["detail"].as_str().unwrap().contains("503"), "{:#}", begun[0]);
    let users = begun[1]["users"].as_array().unwrap();
    assert!(
        (1..=3).contains(&users.len())
            && users.iter().all(|user| user.as_str().unwrap().starts_with("user "))
    );

    sandbox.heal().await;
    let all = told_so_many(&site, 4).await;
    assert!(all[2..].iter().all(|notice| notice["state"] == "end"), "{all:#?}");
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn a_refused_file_and_a_credential_that_ends_are_told_and_a_reload_takes_other_commands() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let keep = keeper(&site).display().to_string();
    site.config.app = "secret_expires = 2020-01-01".to_owned();
    site.write();
    let mut daemon = site.run();
    daemon.event("credential_expiring").await;
    assert!(told(&site).is_empty());

    site.config.control = notify("\"reload_refused\", \"credential_expiring\"", "", &[&keep]);
    site.write();
    daemon.signal(Signal::HUP);
    let expiring = told_so_many(&site, 1).await.remove(0);
    assert_eq!((&expiring["event"], &expiring["app"]), (&json!("credential_expiring"), &json!("contoso")));
    assert_eq!(expiring["detail"], "the secret ends 2020-01-01, which is past");

    let good = fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replace("\"Available\"", "\"Availabel\""));
    daemon.signal(Signal::HUP);
    let refused = told_so_many(&site, 2).await.remove(1);
    assert_eq!(
        (&refused["event"], &refused["state"], &refused["app"]),
        (&json!("reload_refused"), &json!("begin"), &Value::Null)
    );
    assert!(refused["detail"].as_str().unwrap().contains("Availabel"), "{refused:#}");

    site.write();
    daemon.signal(Signal::HUP);
    let over = told_so_many(&site, 3).await.remove(2);
    assert_eq!((&over["event"], &over["state"]), (&json!("reload_refused"), &json!("end")));
}

#[tokio::test]
async fn a_command_gets_nothing_secret_of_the_environment() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"users": {id(1): {"status": 404}}})).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let keep = keeper(&site).display().to_string();
    site.config.control = notify("\"parked\"", "", &[&keep]);
    site.write();
    let mut command = presenced();
    command.arg("run").arg("--config").arg(site.config_file()).args(["--log-format", "json"]);
    command
        .env("CONTOSO_SECRET", "hunter2")
        .env("CREDENTIALS_DIRECTORY", "/run/credentials")
        .env("LANG", "C.UTF-8");
    let _daemon = Daemon::spawn(command);

    told_so_many(&site, 1).await;
    let env = fs::read_to_string(site.path("told/env")).unwrap();
    let names: Vec<&str> =
        env.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // The shell adds two of its own.
    assert!(
        names
            .iter()
            .all(|name| ["PATH", "LANG", "LC_ALL", "TZ", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
        "{env}"
    );
    assert!(names.contains(&"PATH") && env.contains("LANG=C.UTF-8"), "{env}");
}

#[tokio::test]
async fn commands_that_fail_hang_and_babble_are_told_bounded_and_reaped_and_hold_up_nobody() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"users": {id(1): {"status": 404}}})).await;
    let mut site = Site::new(&sandbox, (1..4).map(available));
    let fails = script(&site, "fails", "echo; echo 'no route to the pager' >&2; echo more >&2; exit 3");
    let pid_file = site.path("left-behind").display().to_string();
    let hangs = script(&site, "hangs", &format!("sleep 1000 & echo $! > {pid_file}; wait"));
    let babbles = script(&site, "babbles", "yes babble");
    let leaves = script(&site, "leaves", &format!("sleep 1000 & echo $! > {pid_file}.2; exit 0"));
    let paths = [&fails, &hangs, &babbles, &leaves].map(|path| path.display().to_string());
    let gone = site.path("gone").display().to_string();
    let all = paths.iter().chain([&gone]).map(|path| notify("\"parked\"", "", &[path]));
    site.config.control = all.collect();
    site.write();
    let mut daemon = site.run();

    let until_killed = Duration::from_secs(60);
    let lines = async || Some(daemon.events("notify_failed")).filter(|lines| lines.len() == 4);
    let lines = crate::patience::until_within(until_killed, "four failures", lines).await;
    let of = |program: &str| {
        let line = lines.iter().find(|line| line["command"].as_str().unwrap().ends_with(program));
        line.unwrap_or_else(|| panic!("{program}: {lines:#?}")).clone()
    };
    assert_eq!(of("fails")["output"], "no route to the pager");
    assert!(of("fails")["error"].as_str().unwrap().contains("exit status: 3"));
    assert!(of("gone")["error"].as_str().unwrap().starts_with("it cannot be run"));
    for program in ["hangs", "babbles"] {
        assert!(of(program)["error"].as_str().unwrap().contains("longer than 30 s"), "{:#}", of(program));
    }
    assert_eq!(of("babbles")["output"], "babble");
    assert!(daemon.event("notified").await["command"].as_str().unwrap().ends_with("leaves"));
    // What they left behind has ended with them, and none of them is left as a zombie.
    for file in [pid_file.clone(), format!("{pid_file}.2")] {
        let pid: i32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let ended = async || is_over(pid).then_some(());
        until("what was left behind has ended", ended).await;
    }
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    assert_eq!(fs::read_to_string(children).unwrap(), "");
    // Meanwhile sessions were kept.
    daemon.signal(Signal::USR1);
    sandbox.until_sets(4).await;
}

/// Whether a process has ended; one that waits to be reaped by process 1 has.
fn is_over(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    is_zombie || test_kill_process(Pid::from_raw(pid).unwrap()).is_err()
}

#[tokio::test]
async fn check_warns_of_a_command_that_cannot_be_run() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let keep = keeper(&site).display().to_string();
    let gone = site.path("gone").display().to_string();
    site.config.control =
        notify("\"lapsed\"", "for = \"5m\"", &[&keep]) + &notify("\"parked\"", "", &[&gone]);
    site.write();
    let (code, out, err) = site.command(&["check"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let all = out + &err;
    assert!(all.contains("warning[W013]") && all.contains("cannot be run: there is no such file"), "{all}");
    assert_eq!(all.matches("W013").count(), 1, "{all}");
}
