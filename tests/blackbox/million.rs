//! Millions of users from a CSV file, on the built binary: start and reload timed, and what holding them takes. Run by
//! `tests/long/run`.

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

/// Three million of them, in lanes that are nearly full.
const MANY: u32 = 3_000_000;
const MANY_LANES: u32 = 223;

#[tokio::test]
#[ignore = "takes a minute and 2 GiB: tests/long/run"]
async fn a_million_users_from_csv_start_and_change_in_seconds() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, []);
    site.write_text(&config(&sandbox.url, LANES));
    write_users(&site, USERS, LANES, "Available");
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
    println!("status: {}", answer_times(&site).await);

    write_users(&site, USERS, LANES, "Away");
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

/// How long the daemon takes to say how it stands, and how one of its users does.
async fn answer_times(site: &Site) -> String {
    let http = reqwest::Client::builder().unix_socket(site.path("control.sock")).no_proxy().build().unwrap();
    let ask = async |path: &str| {
        let asked = Instant::now();
        let answer = http.get(format!("http://presenced{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap();
        asked.elapsed().as_millis()
    };
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(ask("/v1/status").await);
    }
    all.sort_unstable();
    let first = ask(&format!("/v1/users/{}", id(7))).await;
    let again = ask(&format!("/v1/users/{}", id(7))).await;
    format!(
        "{} ms in the middle of 20, {} ms at worst; one user {first} ms the first time, then {again} ms",
        all[10], all[19]
    )
}

/// Every session is set, and renewed at least once, before what the daemon takes is measured for five minutes.
#[tokio::test]
#[ignore = "takes fifteen minutes and 4 GiB: tests/long/run"]
async fn three_million_sessions_in_many_lanes_are_held() {
    let sandbox = Sandbox::start(&["--latency", "150"]).await;
    let site = Site::new(&sandbox, []);
    site.write_text(&config(&sandbox.url, MANY_LANES));
    write_users(&site, MANY, MANY_LANES, "Available");
    let mut daemon = site.run();
    daemon.event("started").await;
    let mut measured = None;
    for until in [600_u32, 900] {
        let report = loop {
            // A report is a walk over all sessions, in the process that has to answer.
            tokio::time::sleep(Duration::from_secs(15)).await;
            let report = sandbox.report().await;
            if report["virtual_seconds"].as_f64() > Some(f64::from(until)) {
                break report;
            }
        };
        let counts = (&report["sessions"], &report["lapses"]);
        assert_eq!(counts, (&MANY.into(), &0.into()), "{report:#}\n{}", daemon.log());
        let now = (
            report["virtual_seconds"].as_f64().unwrap(),
            report["sets"].as_u64().unwrap(),
            processor(daemon.pid()),
        );
        if let Some((at, sets, processor)) = measured.replace(now) {
            let span = now.0 - at;
            println!(
                "{MANY} sessions in {MANY_LANES} lanes: {:.0} sets a second take {:.2} of a core; {} times 429; {}",
                (now.1 - sets) as f64 / span,
                (now.2 - processor).as_secs_f64() / span,
                report["throttled"],
                memory(daemon.pid())
            );
        }
    }
}

/// What a process has had of the processors so far.
fn processor(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // User and system time are the 14th and 15th field; the second is in brackets, and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // A hundredth of a second each: USER_HZ, whatever the kernel counts in.
    Duration::from_millis(10 * ticks)
}

fn config(url: &str, lanes: u32) -> String {
    let mut text = "[daemon]\nstate_dir = \"state\"\n[control]\nsocket = \"control.sock\"\n".to_owned();
    for lane in 0..lanes {
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
fn write_users(site: &Site, users: u32, lanes: u32, state: &str) {
    let mut text = "id,displayName,app,shows\n".to_owned();
    for n in 0..users {
        let shows = if n.is_multiple_of(CHANGED) { state } else { "Available" };
        let _ = writeln!(text, "{},User {n},t{},{shows}", id(n), n % lanes);
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
