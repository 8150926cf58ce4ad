//! What the next process knows of the last one: ledger and accepted configs.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Daemon, presenced};
use crate::patience::until;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, in_a_call};

/// Bytes before the first record of a ledger file. The first 16 of a record are the user's id.
pub const HEADER: usize = 4096;
/// The length of a record.
pub const RECORD: usize = 64;
/// Where a record says what it knows, and the word for a lease.
const KIND: usize = 24;
const KNOWN: u8 = 2;

/// The ledger files of a site.
pub fn ledgers(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.state_dir().join("leases")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()).collect()
}

/// How many leases a ledger file holds.
pub fn leases(path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap();
    let records = bytes.get(HEADER..).unwrap_or_default().chunks_exact(RECORD);
    records.filter(|record| record[KIND] == KNOWN).count()
}

/// Returns when the ledger holds so many leases: it is written behind the renewals.
async fn until_remembered(site: &Site, sessions: usize) {
    let look = async || Some(ledgers(site).iter().map(|path| leases(path)).sum::<usize>() == sessions);
    until("a lease each", async || look().await.filter(|all| *all)).await;
}

fn set_at(user: &Value) -> Vec<f64> {
    let requests = user["requests"].as_array().unwrap();
    let sets = requests.iter().filter(|request| request["call"] == "set_presence");
    sets.map(|request| request["at_s"].as_f64().unwrap()).collect()
}

#[tokio::test]
async fn killed_and_started_again_it_does_what_changed_and_goes_on_with_what_it_has() {
    let speed = ["--speed", "20"];
    let sandbox = Sandbox::start(&speed).await;
    let mut site = Site::new(&sandbox, (0..12).map(available));
    let first = site.run_with(&speed);
    sandbox.until_sets(12).await;
    until_remembered(&site, 12).await;
    first.kill().await;

    site.config.users.remove(0);
    site.config.users[0] = in_a_call(1);
    site.write();
    let mut second = site.run_with(&speed);
    let started = second.event("started").await;
    let restarted = sandbox.until("a clear and a set", |r| r["clears"] == 1 && r["sets"] == 13).await;

    assert_eq!(
        [&started["restored"], &started["removed"], &started["changed"], &started["added"]],
        [12, 1, 1, 0].map(Value::from).each_ref(),
        "{started}"
    );
    assert_eq!(sandbox.calls(0).await, ["set_presence", "clear_presence"]);
    assert_eq!(sandbox.user(1).await["sessions"][0]["state"]["activity"], "InACall");
    // The others are renewed when that is due, at half of the 300 s after which Available fades, and not before. Due
    // times follow sends and these are arrivals: on a busy machine, and a fast clock, some seconds lie between.
    let begun = restarted["virtual_seconds"].as_f64().unwrap();
    sandbox.until("a renewal each", |report| report["sets"].as_u64() >= Some(23)).await;
    for n in 2..12 {
        let sets = set_at(&sandbox.user(n).await);
        assert_eq!(sets.len(), 2, "user {n}: {sets:?}, restarted at {begun}");
        assert!((140.0..240.0).contains(&(sets[1] - sets[0])), "user {n}: {sets:?}, restarted at {begun}");
    }
    assert_eq!(sandbox.report().await["lapses"], 0);
}

#[tokio::test]
async fn a_broken_file_at_start_is_replaced_by_the_last_accepted_one_loudly() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..4).map(available));
    let first = site.run();
    sandbox.until_sets(4).await;
    until_remembered(&site, 4).await;
    let archive = site.state_dir().join("accepted/last.json");
    until("the archive", async || archive.exists().then_some(())).await;
    first.kill().await;

    let good = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replace("[[app]]", "[[app]"));
    let mut second = site.run();
    let loud = second.event("running_on_last_good").await;
    assert_eq!(loud["level"], "error");
    assert!(loud["first"].as_str().unwrap().contains("config.toml:"), "{loud}");
    assert_eq!(second.event("started").await["restored"], 4);
    second.signal(Signal::USR1);
    sandbox.until_sets(8).await;

    site.write_text(&good);
    second.signal(Signal::HUP);
    second.event("reload_unchanged").await;
    second.signal(Signal::TERM);
    assert_eq!(second.exit_code().await, Some(0));

    // Who would rather not run than run on an old file gets that.
    let insists = format!(
        "[daemon]\nstate_dir = \"state\"\nstart_with = \"file\"\n{}",
        &good[good.find("[[app]]").unwrap()..]
    );
    site.write_text(&insists.replace("[[app]]", "[[app]"));
    let mut third = site.run();
    assert_eq!(third.exit_code().await, Some(78));
    let refused = third.event("start_refused").await;
    assert!(refused["first"].as_str().unwrap().contains("config.toml:"), "{refused}");
    assert!(refused["last_good"].as_str().unwrap().contains("start_with"), "{refused}");
    assert_eq!(sandbox.report().await["clears"], 0);
}

#[tokio::test]
async fn the_config_that_stands_in_has_its_secret_where_systemd_put_it() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let provided = site.path("credentials");
    std::fs::create_dir(&provided).unwrap();
    std::fs::rename(site.path("contoso.secret"), provided.join("contoso.secret")).unwrap();
    let start = || {
        let mut command = presenced();
        command.env("CREDENTIALS_DIRECTORY", &provided);
        command.args(["run", "--log-format", "json", "--config"]).arg(site.config_file());
        Daemon::spawn(command)
    };
    let mut first = start();
    first.event("token_granted").await;
    let archive = site.state_dir().join("accepted/last.json");
    until("the archive", async || archive.exists().then_some(())).await;
    first.kill().await;
    let broken = std::fs::read_to_string(site.config_file()).unwrap().replace("Available", "Availble");
    site.write_text(&broken);
    let mut second = start();
    second.event("running_on_last_good").await;
    second.event("token_granted").await;
    assert_eq!(second.events("token_failed"), Vec::<Value>::new());
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused_and_told_who_has_it() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut first = site.run();
    first.event("started").await;

    let mut second = site.run();
    assert_eq!(second.exit_code().await, Some(1));
    let failed = second.event("start_failed").await;
    let holder = format!("pid {}", first.pid());
    assert!(failed["error"].as_str().unwrap().contains(&holder), "{holder} in {failed}");

    // Once the first is gone, even without a word, the directory is free.
    first.kill().await;
    let mut third = site.run();
    third.event("started").await;
}

/// Starts anew on a ledger that was damaged in between.
async fn after_damage(damage: impl Fn(&mut Vec<u8>)) -> (Sandbox, Site, Daemon) {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..6).map(available));
    let first = site.run();
    sandbox.until_sets(6).await;
    until_remembered(&site, 6).await;
    first.kill().await;
    let ledgers = ledgers(&site);
    assert_eq!(ledgers.len(), 1);
    let mut bytes = std::fs::read(&ledgers[0]).unwrap();
    damage(&mut bytes);
    std::fs::write(&ledgers[0], bytes).unwrap();
    let daemon = site.run();
    (sandbox, site, daemon)
}

#[tokio::test]
async fn of_a_ledger_with_flipped_bytes_the_whole_records_count() {
    let (sandbox, site, mut daemon) = after_damage(|bytes| {
        for record in 0..2 {
            bytes[HEADER + record * RECORD + 3] ^= 0x40;
        }
    })
    .await;
    let damaged = daemon.event("ledger_damaged").await;
    assert_eq!(damaged["level"], "error");
    assert!(damaged["what"].as_str().unwrap().contains("2 records"), "{damaged}");
    assert!(damaged["file"].as_str().unwrap().ends_with(".ledger"), "{damaged}");
    assert_eq!(daemon.event("started").await["restored"], 4);
    // Two are set as if they were new; the others have their leases.
    sandbox.until_sets(8).await;
    until_remembered(&site, 6).await;
}

#[tokio::test]
async fn a_ledger_that_was_cut_off_costs_a_set_each_and_nothing_else() {
    for length in [0, 100, HEADER - 1] {
        let (sandbox, site, mut daemon) = after_damage(|bytes| bytes.truncate(length)).await;
        let damaged = daemon.event("ledger_damaged").await;
        assert!(damaged["what"].as_str().unwrap().contains("header"), "{damaged}");
        assert_eq!(daemon.event("started").await["restored"], 0);
        let report = sandbox.until_sets(12).await;
        assert_eq!((&report["sessions"], &report["clears"]), (&6.into(), &0.into()), "{report:#}");
        until_remembered(&site, 6).await;
    }
}

#[tokio::test]
async fn a_user_who_was_removed_while_it_hung_is_cleared_by_the_next_one() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..12).map(available));
    let mut first = site.run();
    sandbox.until_sets(12).await;
    until_remembered(&site, 12).await;
    sandbox.faults(serde_json::json!({"hang": true})).await;
    site.config.users.remove(0);
    site.write();
    first.signal(Signal::HUP);
    first.event("reloaded").await;
    first.kill().await;
    sandbox.heal().await;

    let mut second = site.run();
    second.event("started").await;
    let report = sandbox.until("a clear", |report| report["clears"] == 1).await;
    assert_eq!(report["sessions"], 11, "{report:#}");
    assert_eq!(sandbox.user(0).await["sessions"].as_array().unwrap().len(), 0, "{}", id(0));
}

#[tokio::test]
async fn a_second_daemon_with_a_broken_file_is_told_of_both() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let mut first = site.run();
    first.event("started").await;
    let good = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&good.replace("[[app]]", "[[app]"));

    let mut second = site.run();

    assert_eq!(second.exit_code().await, Some(1));
    let failed = second.event("start_failed").await;
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("config.toml:") && error.contains(&format!("pid {}", first.pid())), "{failed}");
}

#[tokio::test]
async fn an_app_that_is_nowhere_any_more_is_told_with_what_to_do() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    let first = site.run();
    sandbox.until_sets(1).await;
    until_remembered(&site, 1).await;
    first.kill().await;
    std::fs::remove_dir_all(site.state_dir().join("accepted")).unwrap();
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    site.write_text(&text.replace(&crate::site::client_id(0), &crate::site::client_id(1)));

    let mut second = site.run();

    second.event("app_unknown").await;
    let failed = second.event("token_failed").await;
    assert!(failed["meaning"].as_str().unwrap().contains("in no config"), "{failed}");
    assert!(failed["advice"].is_string(), "{failed}");
}
