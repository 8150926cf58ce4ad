//! Twenty lanes, three of them in trouble: the others' renewals are as punctual as without them.

use rustix::process::Signal;
use serde_json::json;

use super::course::{Course, figure};
use crate::site::{SECRET, User, client_id, id, user};

/// The first three are those that get into trouble.
const APPS: [&str; 20] = [
    "hanging",
    "throttled",
    "refused",
    "app03",
    "app04",
    "app05",
    "app06",
    "app07",
    "app08",
    "app09",
    "app10",
    "app11",
    "app12",
    "app13",
    "app14",
    "app15",
    "app16",
    "app17",
    "app18",
    "app19",
];
const TROUBLED: usize = 3;
const USERS_EACH: u32 = 500;
/// Of each lane: so small that the first sets, and with them all later ones, are spread over most of a period.
const QUOTA: &str = "quota = { requests = 150, per = \"30s\" }";
/// Half of the 300 s after which Available fades: what such a lane renews at.
const PERIOD: f64 = 150.0;
/// The first sets take a hundred seconds; four periods.
const WATCHED: f64 = 700.0;
/// Each is measured so often, in turn, and its quietest run counts: what else the machine does is in one or the other.
const RUNS: usize = 2;
/// What is left of that, in seconds of a clock ten times faster: a tenth of a second in the world.
const NOISE: f64 = 1.0;

fn users_of(lane: usize) -> impl Iterator<Item = User> {
    let first = u32::try_from(lane).unwrap() * USERS_EACH;
    let says = format!("availability = \"Available\"\napp = \"{}\"", APPS[lane]);
    (first..first + USERS_EACH).map(move |n| user(n, &says))
}

/// How much later than a period after the last set each set of the untroubled lanes came, ascending, in seconds.
async fn lateness(with_trouble: bool) -> Vec<f64> {
    let lanes = if with_trouble { 0..APPS.len() } else { TROUBLED..APPS.len() };
    let options = ["--latency", "150", "--quota", "150/30"];
    let mut course = Course::with(figure("SPEED", 10), &options, []).await;
    course.site.config.cloud = format!("{}\n{QUOTA}", course.site.config.cloud);
    course.site.config.apps = APPS.to_vec();
    course.site.config.users = lanes.flat_map(users_of).collect();
    for app in APPS {
        course.site.secret(app, if app == "refused" { "a-wrong-secret~of~the~app" } else { SECRET });
    }
    course.site.write();
    course.sandbox.faults(json!({ "secret": SECRET })).await;
    if with_trouble {
        let throttled = json!({ "status": 429, "retry_after": "10" });
        let apps = json!({ client_id(0): { "hang": true }, client_id(1): throttled });
        course.sandbox.faults(json!({ "apps": apps })).await;
    }
    let mut daemon = course.run();
    daemon.event("started").await;
    let report = course.pass(WATCHED).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    course.print(if with_trouble { "with three in trouble" } else { "without them" }, &report);
    assert_eq!(report["lapses"], 0, "{report:#}");
    assert_eq!(report["sessions"], u32::try_from(APPS.len() - TROUBLED).unwrap() * USERS_EACH);
    if with_trouble {
        // They are in trouble, each in its way, and none of it costs a storm.
        for event in ["app_down", "throttled", "token_failed"] {
            assert!(!daemon.events(event).is_empty(), "no {event}:\n{}", daemon.log());
        }
        println!(
            "lanes {}",
            serde_json::Value::from(report["lanes"].as_array().unwrap()[..TROUBLED].to_vec())
        );
    }

    let mut late = Vec::new();
    for user in (TROUBLED..APPS.len()).flat_map(users_of) {
        let seen = course.sandbox.user(user.n).await;
        let requests = seen["requests"].as_array().unwrap_or_else(|| panic!("{} was never set", id(user.n)));
        let sets: Vec<f64> = requests.iter().map(|request| request["at_s"].as_f64().unwrap()).collect();
        late.extend(sets.windows(2).map(|pair| pair[1] - pair[0] - PERIOD));
    }
    late.sort_by(f64::total_cmp);
    late
}

fn percentile(sorted: &[f64], hundredths: usize) -> f64 {
    sorted[(sorted.len() * hundredths / 100).min(sorted.len() - 1)]
}

/// Measures, prints, and returns the p99.
async fn p99_of_a_run(with_trouble: bool) -> f64 {
    let late = lateness(with_trouble).await;
    let expected = usize::try_from(USERS_EACH).unwrap() * (APPS.len() - TROUBLED) * 3;
    assert!(late.len() >= expected, "{} renewals, not {expected}", late.len());
    let [median, p99, most] = [50, 99, 100].map(|hundredths| percentile(&late, hundredths));
    println!("{} renewals, median {median:.3} s, p99 {p99:.3} s, most {most:.3} s late", late.len());
    p99
}

#[tokio::test]
#[ignore = "takes five minutes: tests/long/run"]
async fn three_lanes_in_trouble_make_no_renewal_of_the_others_later() {
    let (mut without, mut with) = (f64::MAX, f64::MAX);
    for _ in 0..RUNS {
        without = without.min(p99_of_a_run(false).await);
        with = with.min(p99_of_a_run(true).await);
    }
    let difference = with - without;
    println!(
        "p99 of the lateness: {without:.3} s without trouble, {with:.3} s beside it, difference {difference:+.3} s"
    );
    assert!(difference <= NOISE);
}
