//! Restarts on a ledger that is not as it was written: said in the log, and made good by itself; what lapses is what
//! `plan` foretells for a start without one, and not more.

use std::path::Path;

use serde_json::Value;

use super::course::{A_LEASE, Course, assert_no_lapse, count, log_end};
use crate::daemon::Daemon;
use crate::exits::presenced_says;
use crate::restart::{HEADER, RECORD, ledgers};
use crate::site::available;
use crate::state_dir::SmallDisk;

const USERS: u32 = 10_000;
/// How long the daemon is down, in seconds.
const DOWN: f64 = 5.0;
/// The start itself and the first token, on a busy machine and a fast clock, in seconds.
const COMING_UP: f64 = 20.0;

/// What `plan` says of a start without a ledger.
struct Foretold {
    cold_start: f64,
    outage_budget: f64,
    lapses: bool,
}

async fn foretold(course: &Course) -> Foretold {
    let config = course.site.config_file();
    let plan = presenced_says(&["plan", "--json", "--config", config.to_str().unwrap()]).await;
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let app = &plan["apps"][0];
    let seconds = |key: &str| app[key].as_f64().unwrap();
    Foretold {
        cold_start: seconds("cold_start_s"),
        outage_budget: seconds("outage_budget_s"),
        lapses: app["lapses_without_ledger"].as_bool().unwrap(),
    }
}

/// Of how many sessions a ledger does not know what it should.
struct Lost {
    /// Whose session it is.
    sessions: u32,
    /// Until when it holds.
    leases: u32,
}

/// Kills the daemon, does this to its ledger, and starts it again. Only those that are lost to it may lapse, once each,
/// and for no longer than setting everyone takes.
async fn restart_on(course: &Course, daemon: Daemon, harm: impl FnOnce(&Path), lost: Lost) -> Daemon {
    let plan = foretold(course).await;
    course.sandbox.reset_counts().await;
    daemon.kill().await;
    harm(&ledgers(&course.site)[0]);
    tokio::time::sleep(course.real(DOWN)).await;
    let mut daemon = course.run();
    let started = daemon.event("started").await;
    println!("{started}");
    assert_eq!(started["restored"], USERS - lost.sessions, "{}", log_end(&daemon));

    let back = course.pass(DOWN + COMING_UP + plan.cold_start).await;
    course.print("everyone set", &back);
    assert_eq!((&back["sessions"], &back["lapsed_now"]), (&USERS.into(), &0.into()), "{back:#}");
    assert!(count(&back, "lapses") <= u64::from(lost.sessions + lost.leases), "{back:#}");
    let longest = back["longest_gap_s"].as_f64().unwrap();
    let most = DOWN + COMING_UP + plan.cold_start - plan.outage_budget;
    println!("the longest lapse took {longest:.1} s; foretold are {most:.1} s at most");
    assert!(longest <= most, "{longest} s, foretold are {most} s");

    let later = course.pass(A_LEASE).await;
    course.print("a lease later", &later);
    assert_eq!((&later["lapses"], &later["throttled"]), (&back["lapses"], &0.into()), "{later:#}");
    daemon
}

/// Nothing is known of so many.
fn all_of(sessions: u32) -> Lost {
    Lost { sessions, leases: 0 }
}

fn cut_in_the_middle(ledger: &Path) {
    let whole = HEADER + RECORD * USERS as usize / 2;
    let file = std::fs::OpenOptions::new().write(true).open(ledger).unwrap();
    file.set_len((whole + 10) as u64).unwrap();
}

/// Of every tenth record nobody can be made out any more, and of another tenth the lease is lost.
fn flip(ledger: &Path) {
    let mut bytes = std::fs::read(ledger).unwrap();
    for record in (0..USERS as usize).step_by(10) {
        bytes[HEADER + record * RECORD + 3] ^= 0x40;
        bytes[HEADER + (record + 5) * RECORD + 33] ^= 0x40;
    }
    std::fs::write(ledger, bytes).unwrap();
}

#[tokio::test]
#[ignore = "takes four minutes: tests/long/run"]
async fn a_ledger_that_was_cut_or_damaged_or_is_gone_costs_what_plan_foretells() {
    let course = Course::new(12, (0..USERS).map(available)).await;
    let daemon = course.run();
    course.settled(USERS).await;

    println!("-- every tenth record damaged, and the lease of another tenth");
    let mut daemon =
        restart_on(&course, daemon, flip, Lost { sessions: USERS / 10, leases: USERS / 10 }).await;
    for what in ["1000 records", "1000 leases"] {
        let said = daemon.event("ledger_damaged").await;
        assert!(said["what"].as_str().unwrap().contains(what), "{said}");
    }

    println!("-- cut in the middle");
    let mut daemon = restart_on(&course, daemon, cut_in_the_middle, all_of(USERS / 2)).await;
    let said = daemon.event("ledger_damaged").await;
    assert!(said["what"].as_str().unwrap().contains("1 record"), "{said}");

    println!("-- gone");
    let mut daemon =
        restart_on(&course, daemon, |ledger| std::fs::remove_file(ledger).unwrap(), all_of(USERS)).await;
    daemon.event("ledger_missing").await;
}

#[tokio::test]
#[ignore = "takes a minute: tests/long/run"]
async fn a_lane_that_plan_says_needs_no_ledger_holds_without_one() {
    let users = 6_000;
    let course = Course::new(10, (0..users).map(available)).await;
    assert!(!foretold(&course).await.lapses);
    let daemon = course.run();
    course.settled(users).await;
    daemon.kill().await;
    std::fs::remove_file(&ledgers(&course.site)[0]).unwrap();
    tokio::time::sleep(course.real(DOWN)).await;
    let mut daemon = course.run();
    assert_eq!(daemon.event("started").await["restored"], 0);
    let report = course.pass(A_LEASE).await;
    course.print("a lease later", &report);
    assert_no_lapse(&report, &daemon);
    assert_eq!(report["sessions"], users);
}

#[tokio::test]
#[ignore = "takes two minutes: tests/long/run"]
async fn a_disk_that_is_full_at_the_restart_costs_nobody_a_lapse() {
    let course = Course::new(10, (0..USERS).map(available)).await;
    let Some(disk) = SmallDisk::mount(&course.site.state_dir(), 8 << 20).await else {
        println!("not tried: this process may not mount a file system");
        return;
    };
    let daemon = course.run();
    course.settled(USERS).await;
    disk.fill();
    daemon.kill().await;
    tokio::time::sleep(course.real(60.0)).await;
    let mut daemon = course.run();
    let started = daemon.event("started").await;
    println!("{started}");
    let report = course.pass(A_LEASE).await;
    course.print("a lease later", &report);
    // Records are written in their place, for which there is room; the accepted config is not.
    assert_eq!(started["restored"], USERS);
    daemon.event("archive_failed").await;
    assert!(daemon.events("ledger_failed").is_empty());
    assert_no_lapse(&report, &daemon);
}

#[tokio::test]
#[ignore = "takes two minutes: tests/long/run"]
async fn a_disk_that_was_full_all_along_costs_what_plan_foretells() {
    let course = Course::new(12, (0..USERS).map(available)).await;
    let Some(_disk) = SmallDisk::mount(&course.site.state_dir(), 128 << 10).await else {
        println!("not tried: this process may not mount a file system");
        return;
    };
    let mut daemon = course.run();
    course.settled(USERS).await;
    daemon.event("archive_failed").await;
    let failed = daemon.event("ledger_failed").await;
    println!("{failed}");
    let known = crate::restart::leases(&ledgers(&course.site)[0]);
    assert!((1..USERS as usize / 2).contains(&known), "room for {known} records");
    let mut daemon = restart_on(&course, daemon, |_| (), all_of(USERS - u32::try_from(known).unwrap())).await;
    daemon.event("ledger_failed").await;
}
