//! Schedules and groups: what they mean for their users, and when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::config::settings::ConfigHash;
use crate::keeper::PresenceState::{self, Available, Away, InACall, Presenting};

fn id(n: u32) -> String {
    format!("fa8bf3dc-eca7-46b7-bad1-{n:012}")
}

/// What the schedule of a day is called in most of these.
const DAY: &str = r#"
[[schedule]]
name = "day"
availability = "Available"
windows = [{ days = "Mon-Fri", from = "08:00", to = "12:00" }, { days = "Mon-Fri", from = "13:00", to = "17:00" }]
"#;

fn loaded(text: &str) -> Loaded {
    let text = format!("{}{text}", APP.replace("\"Available\"", "\"Away\""));
    read(&text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The wall clock of a zone.
fn when(text: &str, zone: &str) -> Timestamp {
    let zone = TimeZone::get(zone).unwrap();
    text.parse::<DateTime>().unwrap().to_zoned_datetime(zone).unwrap().timestamp()
}

/// What each user shows at a time, in the order of their ids.
fn shown(loaded: &Loaded, at: Timestamp) -> Vec<Option<PresenceState>> {
    let plan = loaded.rotas.show(&loaded.plan, &loaded.rotas.standings(at));
    plan.lanes().iter().flat_map(|lane| &lane.sessions).map(|s| s.wish.map(|wish| wish.state)).collect()
}

/// When something else is wanted of the first user, and what, from a time on.
fn edges(loaded: &Loaded, mut at: Timestamp, count: usize) -> Vec<(String, Option<PresenceState>)> {
    let mut edges = Vec::new();
    for _ in 0..count {
        let lane = &loaded.plan.lanes()[0];
        let rota = loaded.rotas.of(&lane.key, lane.sessions[0].user).unwrap();
        let Some(until) = loaded.rotas.standings(at)[rota as usize].until else { break };
        at = until;
        edges.push((at.to_string(), shown(loaded, at)[0]));
    }
    edges
}

#[test]
fn a_schedule_holds_within_its_windows_and_the_base_state_without() {
    let user = |n, keys: &str| format!("[[user]]\nid = \"{}\"\nschedules = [\"day\"]\n{keys}\n", id(n));
    let text = format!(
        "{DAY}{}{}{}",
        user(1, ""),
        user(2, "timezone = \"America/New_York\""),
        user(3, "availability = \"none\"\ntimezone = \"Europe/Berlin\"")
    );
    let config = loaded(&text);
    let utc = |text: &str| shown(&config, when(text, "UTC"));
    assert_eq!(utc("2026-11-25T07:59:59"), [Some(Away), Some(Away), Some(Available)]);
    assert_eq!(utc("2026-11-25T08:00:00"), [Some(Available), Some(Away), Some(Available)]);
    assert_eq!(utc("2026-11-25T13:00:00"), [Some(Available), Some(Available), Some(Available)]);
    assert_eq!(utc("2026-11-25T17:30:00"), [Some(Away), Some(Away), None]);
    assert_eq!(utc("2026-11-28T10:00:00"), [Some(Away), Some(Away), None], "a Saturday");
    let edges = edges(&config, when("2026-11-27T09:00:00", "UTC"), 4);
    let expected = [
        ("2026-11-27T12:00:00Z", Some(Away)),
        ("2026-11-27T13:00:00Z", Some(Available)),
        ("2026-11-27T17:00:00Z", Some(Away)),
        ("2026-11-30T08:00:00Z", Some(Available)),
    ];
    assert_eq!(edges, expected.map(|(at, state)| (at.to_owned(), state)));
    assert!(config.plan.lanes()[0].sessions.iter().all(|session| session.funded), "by what costs most");
}

#[test]
fn a_zone_is_the_users_or_the_groups_or_the_schedules_or_that_of_the_defaults() {
    let open = |text: &str| {
        let config = read(&format!("{APP}{text}")).unwrap();
        ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC"]
            .into_iter()
            .find(|zone| {
                let at = |time: &str| shown(&config, when(&format!("2026-11-25T{time}"), zone))[0];
                let shut = ["07:59:00", "12:01:00", "17:01:00"].map(at);
                let open = ["08:01:00", "11:59:00", "13:01:00", "16:59:00"].map(at);
                shut == [Some(Available); 3] && open == [Some(Away); 4]
            })
            .unwrap()
    };
    let schedule =
        |keys: &str| DAY.replace("\"Available\"", "\"Away\"").replace("windows", &format!("{keys}\nwindows"));
    let user = |keys: &str| format!("[[user]]\nid = \"{}\"\n{keys}\n", id(1));
    let group = |keys: &str| {
        format!("[[group]]\nname = \"g\"\nschedules = [\"day\"]\nmembers = [\"{}\"]\n{keys}\n", id(1))
    };
    let follows = "schedules = [\"day\"]";
    assert_eq!(open(&format!("{}{}", schedule(""), user(follows))), "UTC");
    let berlin = "timezone = \"Europe/Berlin\"";
    assert_eq!(open(&format!("{}{}", schedule(berlin), user(follows))), "Europe/Berlin");
    let tokyo = "timezone = \"Asia/Tokyo\"";
    assert_eq!(open(&format!("{}{}", schedule(berlin), group(tokyo))), "Asia/Tokyo");
    let york = "timezone = \"America/New_York\"";
    assert_eq!(open(&format!("{}{}{}", schedule(berlin), group(tokyo), user(york))), "America/New_York");
    let defaults = APP.replace("[defaults]", "[defaults]\ntimezone = \"australia/sydney\"");
    let config = read(&format!("{defaults}{}{}", schedule(""), user(follows))).unwrap();
    assert_ne!(
        shown(&config, when("2026-11-25T07:59:00", "Australia/Sydney")),
        shown(&config, when("2026-11-25T08:01:00", "Australia/Sydney"))
    );
}

#[test]
fn the_higher_priority_holds_and_of_equals_the_one_that_is_named_first() {
    let schedule = |name: &str, state: &str, from: &str, to: &str, priority: i32| {
        format!(
            "[[schedule]]\nname = \"{name}\"\n{state}\npriority = {priority}\nwindows = [{{ from = \"{from}\", to = \"{to}\" }}]\n"
        )
    };
    let text = format!(
        "[[user]]\nid = \"{}\"\nschedules = [\"day\", \"call\", \"lunch\"]\n{}{}{}",
        id(1),
        schedule("day", "availability = \"Available\"", "08:00", "17:00", 0),
        schedule("call", "activity = \"InACall\"", "10:00", "18:00", 0),
        schedule("lunch", "availability = \"DoNotDisturb\"", "12:00", "13:00", 5),
    );
    let config = loaded(&text);
    let day = edges(&config, when("2026-11-25T07:00:00", "UTC"), 5);
    let expected = [
        ("2026-11-25T08:00:00Z", Some(Available)),
        ("2026-11-25T12:00:00Z", Some(Presenting)),
        ("2026-11-25T13:00:00Z", Some(Available)),
        ("2026-11-25T17:00:00Z", Some(InACall)),
        ("2026-11-25T18:00:00Z", Some(Away)),
    ];
    assert_eq!(day, expected.map(|(at, state)| (at.to_owned(), state)), "no edge at ten: `day` holds on");
}

#[test]
fn a_member_has_what_the_first_group_says_and_the_user_says_more() {
    let text = format!(
        r#"
[[group]]
name = "desk"
activity = "InACall"
priority = 3
members = ["{a}", {{ id = "{b}", name = "Anna", aliases = ["2001"] }}, "{c}"]
[[group]]
name = "night"
availability = "DoNotDisturb"
expiration = "2h"
members = ["{b}", "{c}", "{d}"]
[[user]]
id = "{c}"
availability = "Available"
"#,
        a = id(1),
        b = id(2),
        c = id(3),
        d = id(4)
    );
    let config = loaded(&text);
    assert_eq!(
        wishes(&config),
        [Some((InACall, 60)), Some((InACall, 120)), Some((Available, 120)), Some((Presenting, 120))]
    );
    let priorities: Vec<i32> = config.plan.lanes()[0].sessions.iter().map(|s| s.priority).collect();
    assert_eq!(priorities, [3, 3, 3, 0]);
    assert_eq!(codes(&config.warnings).len(), 1, "{:?}", config.warnings);
    let groups: BTreeMap<&str, usize> =
        config.settings.groups.iter().map(|group| (&*group.name, group.members.len())).collect();
    assert_eq!(groups, BTreeMap::from([("desk", 3), ("night", 3)]));
    let anna = &config.settings.people[&id(2).parse().unwrap()];
    assert_eq!((anna.name.as_deref(), anna.aliases.len()), (Some("Anna"), 1));
}

#[test]
fn schedules_of_several_groups_add_up_and_a_users_own_stand_alone() {
    let text = format!(
        r#"{DAY}
[[schedule]]
name = "sunday"
activity = "InACall"
windows = [{{ days = "Sun", from = "10:00", to = "11:00" }}]
[[group]]
name = "a"
schedules = ["day"]
members = ["{one}", "{two}", "{three}"]
[[group]]
name = "b"
schedules = ["sunday", "day"]
members = ["{one}", "{two}", "{three}"]
[[user]]
id = "{two}"
schedules = ["sunday"]
[[user]]
id = "{three}"
schedules = []
"#,
        one = id(1),
        two = id(2),
        three = id(3)
    );
    let config = loaded(&text);
    let friday = shown(&config, when("2026-11-27T09:00:00", "UTC"));
    assert_eq!(friday, [Some(Available), Some(Away), Some(Away)]);
    let sunday = shown(&config, when("2026-11-29T10:30:00", "UTC"));
    assert_eq!(sunday, [Some(InACall), Some(InACall), Some(Away)]);
    assert_eq!(config.rotas.rotas().len(), 2, "who follows the same has the same rota");
}

#[test]
fn lists_of_members_and_calendars_are_files_of_the_config() {
    let text = format!(
        "{}\n{}\n[[group]]\nname = \"phones\"\nmembers_from = \"phones.csv\"\nschedules = [\"day\"]\n\
         [[group]]\nname = \"desks\"\nmembers_from = [{{ file = \"desks.csv\", columns = {{ id = \"oid\", name = \"who\", \
         availability = \"shows\", timezone = \"zone\", schedules = \"when\" }} }}]\n",
        APP.replace("\"Available\"", "\"Away\""),
        DAY.replace("windows", "except_from = [\"off.ics\"]\nexcept = [\"2026-11-24\"]\nwindows"),
    );
    let calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261125\r\n\
                    DTEND;VALUE=DATE:20261127\r\nSUMMARY:Stocktaking\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let phones = format!("id,displayName\n{},Gate\n{},Hall\n", id(1), id(2));
    let desks =
        format!("oid;who;shows;zone;when\n{};Desk;Available;;\n{};Front;;Asia/Tokyo;day\n", id(3), id(4));
    let sources = Sources::new("config.toml", text)
        .with("phones.csv", phones)
        .with("desks.csv", desks)
        .with("off.ics", calendar);
    let config = load_sources(sources.clone(), Look::TextsAlone).unwrap();
    let at = |text: &str| shown(&config, when(text, "UTC"));
    assert_eq!(at("2026-11-23T09:00:00"), [Some(Available), Some(Available), Some(Available), Some(Away)]);
    assert_eq!(at("2026-11-22T23:30:00")[3], Some(Available), "a Monday morning in Tokyo");
    for day in ["24", "25", "26"] {
        assert_eq!(at(&format!("2026-11-{day}T09:00:00"))[0], Some(Away), "the {day}th");
    }
    assert_eq!(at("2026-11-27T09:00:00")[0], Some(Available));
    // What is kept for the next start means the same.
    let kept = config.sources.iter().collect::<Vec<_>>();
    let (main, text) = kept[0];
    let again =
        kept[1..].iter().fold(Sources::new(main, text), |sources, (path, text)| sources.with(*path, *text));
    assert_eq!(load_sources(again, Look::TextsAlone).unwrap().settings.hash, config.settings.hash);
    // And all of them are there.
    let without = sources.iter().take(3).collect::<Vec<_>>();
    let (main, text) = without[0];
    let less = without[1..]
        .iter()
        .fold(Sources::new(main, text), |sources, (path, text)| sources.with(*path, *text));
    assert_eq!(codes(&load_sources(less, Look::TextsAlone).unwrap_err())[0].0, "E006");
}

#[test]
fn the_hash_counts_when_a_state_is_wanted_and_not_when_it_is_asked() {
    let text = |windows: &str, keys: &str, group: &str| {
        format!(
            "{}{group}[[user]]\nid = \"{}\"\nschedules = [\"day\"]\n{keys}\n",
            DAY.replace("17:00", windows),
            id(1)
        )
    };
    let hash = |text: &str| -> ConfigHash { loaded(text).settings.hash };
    let plain = hash(&text("17:00", "", ""));
    assert_eq!(plain, hash(&text("17:00", "timezone = \"UTC\"", "")));
    let group = format!("[[group]]\nname = \"g\"\nmembers = [\"{}\"]\n", id(1));
    let others = [
        text("17:30", "", ""),
        text("17:00", "timezone = \"Europe/Berlin\"", ""),
        text("17:00", "availability = \"none\"", ""),
        text("17:00", "", &group),
    ];
    let mut hashes: Vec<ConfigHash> = others.iter().map(|text| hash(text)).chain([plain]).collect();
    hashes.sort_unstable_by_key(ToString::to_string);
    hashes.dedup();
    assert_eq!(hashes.len(), others.len() + 1);
}

#[test]
fn removals_that_wait_go_on_as_their_schedules_said() {
    let users = |n: std::ops::Range<u32>| -> String {
        n.map(|n| format!("[[user]]\nid = \"{}\"\nschedules = [\"day\"]\n", id(n))).collect()
    };
    let old = loaded(&format!("{DAY}{}", users(0..40)));
    let new = loaded(&format!("{DAY}{}", users(0..5)));
    let (plan, held) = new.plan.hold_removals(&old.plan, 20);
    assert_eq!((plan.len(), held.len()), (40, 1));
    let mut rotas = new.rotas;
    rotas.adopt(&old.rotas, &plan);
    let at = when("2026-11-25T09:00:00", "UTC");
    let later = when("2026-11-25T19:00:00", "UTC");
    for (at, state) in [(at, Available), (later, Away)] {
        let plan = rotas.show(&plan, &rotas.standings(at));
        assert!(plan.lanes()[0].sessions.iter().all(|session| session.wish.unwrap().state == state));
    }
}

#[test]
fn the_line_that_says_a_users_state_is_found() {
    let text = format!(
        "{}\n[[user]]\nid = \"{a}\"\navailability = \"DoNotDisturb\"\n[[user]]\nid = \"{b}\"\n[[user]]\nid = \"{d}\"\n\
         [[group]]\nname = \"first\"\nexpiration = \"2h\"\nmembers = [\"{b}\", \"{c}\"]\n\
         [[group]]\nname = \"second\"\nactivity = \"InACall\"\nmembers = [\"{a}\", \"{b}\", \"{c}\"]\n",
        APP.trim(),
        a = id(1),
        b = id(2),
        c = id(3),
        d = id(4)
    );
    let config = read(&text).unwrap();
    let lane = config.plan.lanes()[0].key.clone();
    let line = |needle: &str| 1 + text.lines().position(|line| line.starts_with(needle)).unwrap();
    let said = |n| crate::config::origin::of_state(&config, &lane, id(n).parse().unwrap());
    let at = |what: &str, needle: &str| Some(format!("{what} at config.toml:{}", line(needle)));
    assert_eq!(said(1), at("[[user]]", "availability = \"DoNotDisturb\""));
    assert_eq!(said(2), at("[[group]] second", "activity"));
    assert_eq!(said(3), at("[[group]] second", "activity"));
    assert_eq!(said(4), at("[defaults]", "availability = \"Available\""));
}
