//! What comes, at fixed times and in fixed zones.

use std::path::Path;

use super::*;
use crate::config::{Sources, load_sources};

/// Two apps; desks that are Away but for their shift, and a night line that has no session by day.
const CONFIG: &str = r#"
[[app]]
name = "contoso"
tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"
client_id = "22553876-f5ab-4529-bffb-cfe50aa89f87"
credential = { secret_env = "SECRET" }
quota = { requests = 30, per = "30s" }

[[app]]
name = "fabrikam"
tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8878"
client_id = "22553876-f5ab-4529-bffb-cfe50aa89f88"
credential = { secret_env = "SECRET" }

[defaults]
availability = "Away"
timezone = "Europe/Berlin"

[[schedule]]
name = "shift"
availability = "Available"
windows = [{ days = "Mon-Fri", from = "08:00", to = "17:30" }]
except = ["2026-12-25"]

[[schedule]]
name = "lunch"
availability = "Busy"
activity = "InACall"
priority = 1
windows = [{ days = "Mon-Fri", from = "12:00", to = "12:20" }]

[[schedule]]
name = "night"
availability = "DoNotDisturb"
windows = [{ days = "Mon-Sun", from = "22:00", to = "06:00" }]

[[group]]
name = "desks"
app = "contoso"
schedules = ["shift"]
members = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]

[[user]]
id = "00000000-0000-4000-8000-000000000001"
name = "Desk 1"
app = "contoso"

[[user]]
id = "00000000-0000-4000-8000-000000000002"
name = "Desk 2"
app = "contoso"
schedules = ["shift", "lunch"]

[[user]]
id = "00000000-0000-4000-8000-000000000003"
name = "Night line"
app = "fabrikam"
availability = "none"
schedules = ["night"]

[[user]]
id = "00000000-0000-4000-8000-000000000004"
name = "Door"
app = "fabrikam"
"#;

fn load(text: &str) -> Loaded {
    match load_sources(Sources::new(Path::new("config.toml"), text), Look::TextsAlone) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

/// What is asked for, at a moment, on a machine in New York.
fn when(at: &str, span: Option<&str>) -> When {
    let span = span.map(|span| when::span(span).unwrap());
    When::read(Some(at), span, Timestamp::UNIX_EPOCH, TimeZone::get("America/New_York").unwrap()).unwrap()
}

fn args(user: Option<&str>, app: Option<&str>) -> PlanArgs {
    let own = |text: Option<&str>| text.map(str::to_owned);
    PlanArgs { user: own(user), app: own(app), at: None, span: None, json: false }
}

fn text(user: Option<&str>, when: When) -> String {
    let loaded = load(CONFIG);
    text::render(&Answer::of(&loaded, &args(user, None), when).unwrap(), false)
}

#[test]
fn a_day_has_a_line_for_each_app_that_something_changes_in() {
    insta::assert_snapshot!(text(None, when("2026-11-26T06:00:00Z", None)));
}

#[test]
fn what_changes_on_one_day_is_told_by_the_clock_alone() {
    let text = text(None, when("2026-11-26T16:00:00Z", Some("1h")));
    assert!(text.contains("\n11:30  contoso "), "{text}");
    let text = self::text(None, when("2026-11-28T06:00:00Z", Some("15h")));
    assert!(text.contains("no changes by schedules from 2026-11-28 01:00 to 2026-11-28 16:00"), "{text}");
}

#[test]
fn a_week_of_a_user_is_a_strip_a_day_and_a_line_a_change() {
    let text = text(Some("desk 2"), when("2026-11-26T11:10:00Z", Some("5d")));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn the_day_on_which_the_clock_jumps_has_a_gap_and_the_others_have_none() {
    // Summer time begins on 29 March 2026 at 02:00 in Berlin, and ends on 25 October.
    for (at, two) in [("2026-03-29T00:30:00Z", "DDDD  DDDDDD"), ("2026-10-25T00:30:00Z", "DDDDDDDDDDDD")] {
        let text = text(Some("night line"), when(at, Some("1h")));
        assert!(text.contains(&format!("{two}................................DDDD\n")), "{text}");
    }
}

#[test]
fn colours_say_nothing_that_the_letters_do_not() {
    let loaded = load(CONFIG);
    let answer =
        Answer::of(&loaded, &args(Some("desk 2"), None), when("2026-11-26T11:10:00Z", None)).unwrap();
    let (plain, colored) = (text::render(&answer, false), text::render(&answer, true));
    assert!(colored.contains("\x1b[30;42m"), "{colored}");
    let mut bare = String::new();
    let mut rest = colored.as_str();
    while let Some((text, more)) = rest.split_once('\x1b') {
        bare.push_str(text);
        rest = more.split_once('m').unwrap().1;
    }
    assert_eq!(bare + rest, plain);
}

#[test]
fn who_has_no_schedule_is_told_of_as_ever() {
    let text = text(Some("door"), when("2026-11-26T11:10:00Z", None));
    assert_eq!(
        text,
        "Door (00000000-0000-4000-8000-000000000004) in fabrikam: Away\n  \
         renewed every 30 min of 1 h; holds 30 min without Graph\n  named in config.toml:62\n"
    );
    let loaded = load(&CONFIG.replace("schedules = ", "# schedules = "));
    let answer = Answer::of(&loaded, &args(None, None), when("2026-11-26T11:10:00Z", None)).unwrap();
    assert!(answer.edges.is_none() && answer.to_json().get("ahead").is_none());
}

#[test]
fn json_has_every_edge_with_what_it_takes() {
    let loaded = load(CONFIG);
    let of = |user, app| {
        Answer::of(&loaded, &args(user, app), when("2026-11-26T06:30:00Z", Some("6h"))).unwrap().to_json()
    };
    let contoso = of(None, Some("contoso"));
    let edges = contoso["ahead"]["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 3, "{edges:?}");
    assert_eq!(
        edges[0],
        json!({
            "at": "2026-11-26T07:00:00Z", "app": "contoso",
            "to": [{ "availability": "Available", "activity": "Available", "users": 2 }],
            "opens": ["shift"], "closes": [], "requests": 2, "take_s": 2.0, "quota_used": 0.0667,
            "requests_per_second": 0.0133, "utilisation": 0.0133,
        })
    );
    assert_eq!((&edges[1]["opens"], &edges[1]["closes"]), (&json!(["lunch"]), &json!([])));
    assert_eq!(
        (&edges[2]["opens"], &edges[2]["closes"]),
        (&json!([]), &json!(["lunch"])),
        "shift was open all along"
    );

    let session = &of(Some("desk 2"), None)["sessions"][0];
    assert_eq!((&session["groups"], &session["timezone"]), (&json!(["desks"]), &json!("Europe/Berlin")));
    assert_eq!(
        session["spells"][1],
        json!({
            "from": "2026-11-26T07:00:00Z", "until": "2026-11-26T11:00:00Z",
            "availability": "Available", "activity": "Available", "schedule": "shift",
        })
    );
}

#[test]
fn an_edge_of_many_takes_what_renewals_leave_and_who_is_left_out_sends_nothing() {
    let member = |n: u32| format!("\"00000000-0000-4000-9000-{n:012x}\"");
    let members: Vec<String> = (0..15_500).map(member).collect();
    let crowd = format!(
        "{}\n[[group]]\nname = \"crowd\"\napp = \"fabrikam\"\nschedules = [\"shift\"]\nmembers = [{}]\n",
        CONFIG,
        members.join(", ")
    );
    let loaded = load(&crowd);
    let answer =
        Answer::of(&loaded, &args(None, Some("fabrikam")), when("2026-11-26T06:30:00Z", Some("12h")));
    let answer = answer.unwrap();
    let [opens, closes] = &answer.edges.as_ref().unwrap()[..] else { panic!() };
    // 97 % of 50 a second, once in 290 s, less what the two others may need.
    assert_eq!(opens.requests(), 14_064, "{opens:?}");
    assert!((opens.takes.as_secs_f64() - 14_064.0 / 50.0).abs() < 0.2, "{opens:?}");
    assert!((opens.used - 1.0).abs() < 1e-9 && opens.utilisation > 0.96, "{opens:?}");
    assert!(closes.utilisation < 0.2 && closes.requests() == 14_064, "{closes:?}");
    assert!(!answer.fits());
}

#[test]
fn a_crowd_of_edges_is_cut_in_text_and_whole_in_json() {
    let often = CONFIG.replace(
        "windows = [{ days = \"Mon-Fri\", from = \"12:00\", to = \"12:20\" }]",
        "start = \"*/10 * * * *\"\nduration = \"5m\"",
    );
    let loaded = load(&often);
    let answer = Answer::of(&loaded, &args(None, None), when("2026-11-26T00:00:00Z", Some("24h"))).unwrap();
    let text = text::render(&answer, false);
    let all = answer.to_json()["ahead"]["edges"].as_array().unwrap().len();
    assert!(all > 280, "{all}");
    assert!(text.contains(&format!("and {} more: `plan --json` has all\n", all - 200)), "{text}");
    assert!(text.lines().count() < 230);
    let text = text::render(
        &Answer::of(&loaded, &args(Some("desk 2"), None), when("2026-11-26T00:00:00Z", None)).unwrap(),
        false,
    );
    assert!(text.contains(" more: `plan --json` has all\n"), "{text}");
}
