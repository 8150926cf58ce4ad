//! A million users from a CSV file: start and reload, timed on the built binary. Run by `tests/long/run`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::sandbox::Sandbox;
use crate::site::{Site, TENANT, id};

const USERS: u32 = 1_000_000;
const LANES: u32 = 80;
/// Of the users that the reload changes, one in so many.
const CHANGED: u32 = 100;
/// Between two looks at what the service has got.
const GLANCE: Duration = Duration::from_millis(5);

#[tokio::test]
#[ignore = "takes a minute and 2 GiB: tests/long/run"]
async fn a_million_users_from_csv_start_and_change_in_seconds() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, []);
    site.write_text(&config(&sandbox.url));
    write_users(&site, "Available");
    let started = Instant::now();
    let mut daemon = site.run();
    let sets = async || sandbox.report().await["sets"].as_u64().unwrap();
    while sets().await == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", daemon.log());
        tokio::time::sleep(GLANCE).await;
    }
    println!("{USERS} users from CSV to the first set: {:.1} s", started.elapsed().as_secs_f64());
    daemon.event("started").await;
    sandbox.until("some time goes by", |r| r["virtual_seconds"].as_f64() > Some(15.0)).await;
    println!("at rest: {}", memory(daemon.pid()));

    write_users(&site, "Away");
    let (asked, mut seen, mut last, mut longest) =
        (Instant::now(), sets().await, Instant::now(), Duration::ZERO);
    daemon.signal(Signal::HUP);
    while daemon.events("reloaded").is_empty() {
        assert!(asked.elapsed() < Duration::from_secs(60), "{}", daemon.log());
        tokio::time::sleep(GLANCE).await;
        let now = sets().await;
        if now > seen {
            (longest, seen, last) = (longest.max(last.elapsed()), now, Instant::now());
        }
    }
    let line = daemon.event("reloaded").await;
    assert_eq!((&line["changed"], &line["added"]), (&(USERS / CHANGED).into(), &0.into()), "{line}");
    println!(
        "reload that changes 1 in {CHANGED}: applied after {:.1} s, sets went on with no pause over {} ms; {}",
        asked.elapsed().as_secs_f64(),
        longest.as_millis(),
        memory(daemon.pid())
    );
    let report = sandbox.report().await;
    assert_eq!((&report["lapses"], &report["throttled"]), (&0.into(), &0.into()), "{report:#}");
}

fn config(url: &str) -> String {
    let mut text = "[daemon]\nstate_dir = \"state\"\n".to_owned();
    for lane in 0..LANES {
        let tenant = format!("{}{:012x}", &TENANT[..24], lane + 1);
        let _ = write!(
            text,
            "[[app]]\nname = \"t{lane}\"\ntenant = \"{tenant}\"\nclient_id = \"{}\"\n\
             cloud = {{ graph = \"{url}\", login = \"{url}\" }}\ncredential = {{ secret_file = \"contoso.secret\" }}\n",
            id(lane % 4)
        );
    }
    text + "[[users_from]]\nfile = \"users.csv\"\ncolumns = { name = \"displayName\", app = \"app\", availability = \"shows\" }\n"
}

/// One in [`CHANGED`] shows `state`, the others Available.
fn write_users(site: &Site, state: &str) {
    let mut text = "id,displayName,app,shows\n".to_owned();
    for n in 0..USERS {
        let shows = if n.is_multiple_of(CHANGED) { state } else { "Available" };
        let _ = writeln!(text, "{},User {n},t{},{shows}", id(n), n % LANES);
    }
    let next = site.path("users.next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, site.path("users.csv")).unwrap();
}

fn memory(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1_024
    };
    format!("{} MiB, peak {} MiB", mib("VmRSS:"), mib("VmHWM:"))
}
