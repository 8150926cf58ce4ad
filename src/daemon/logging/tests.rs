use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use super::format::{JsonLines, Text};
use super::*;
use crate::config::settings::{ConfigHash, LogUsers, Person, Settings};
use crate::daemon::clock::Clock;
use crate::daemon::graph::Detail;
use crate::daemon::outlook::Outlook;
use crate::daemon::signals::Origin;
use crate::daemon::token::expiry::{End, Ending, Notice};
use crate::daemon::token::{Class, TokenDetail};
use crate::keeper::diff::Counts;
use crate::keeper::event::{Event, Trouble, Why};
use crate::keeper::id::{Guid, LaneIx, SessionIx, Slot, UserId};
use crate::keeper::{Loss, PresenceState, Refusal};

/// Where a test's lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn taken(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// What is logged as text, the time cut off.
fn text_of(log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .event_format(Text { clock: Clock::real() });
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    let lines = lines.taken();
    let lines: Vec<&str> = lines.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    lines.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("\n")
}

fn json_of(log: impl FnOnce()) -> serde_json::Value {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .event_format(JsonLines { clock: Clock::real() });
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    serde_json::from_str(&lines.taken()).unwrap()
}

const USER: UserId = Guid::from_u128(0xfa8b_f3dc_eca7_46b7_bad1_db19_9b62_afc3);

fn people(log_users: LogUsers) -> People {
    let person = Person { name: Some("Reception desk".into()), aliases: Box::default() };
    let settings = Settings { log_users, people: [(USER, person)].into(), ..settings() };
    People::new(Arc::new(settings))
}

fn settings() -> Settings {
    let text = r#"
        [[app]]
        name = "contoso"
        tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"
        client_id = "22553876-f5ab-4529-bffb-cfe50aa89f87"
        credential = { secret_file = "s" }
        [[user]]
        id = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3"
        availability = "Available"
    "#;
    let look = crate::config::Look::TextsAlone;
    let loaded = crate::config::load_sources(crate::config::Sources::new("/c.toml", text), look);
    loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false))).settings
}

fn detail() -> Detail {
    Detail {
        status: Some(404),
        code: Some("Request_ResourceNotFound".to_owned()),
        message: Some("No such user".to_owned()),
        request_id: Some("0f6e".to_owned()),
        advice: Some("look"),
        ..Detail::default()
    }
}

fn token_detail() -> TokenDetail {
    TokenDetail {
        error: "invalid_client".to_owned(),
        class: Class::Fix,
        aadsts: Some(7_000_222),
        meaning: "the client secret has expired".to_owned(),
        said: Some("The provided client secret keys are expired.".to_owned()),
        advice: "make a new one".to_owned(),
        correlation_id: Some("c0".to_owned()),
    }
}

fn line_of(event: &Event) -> String {
    let (people, answer, token) = (people(LogUsers::Id), detail(), token_detail());
    let joined = Joined {
        people: &people,
        app: &|_| "contoso".to_owned(),
        answer: Some(&answer),
        token: Some(&token),
        over: None,
        loud: true,
    };
    text_of(|| keeper_event(event, &joined))
}

const LANE: LaneIx = LaneIx(0);
const SESSION: SessionIx = SessionIx { lane: LANE, slot: Slot(1) };

#[test]
fn each_event_about_a_session_has_its_name_and_fields() {
    let (session, user) = (SESSION, USER);
    let (from, to) = (Some(PresenceState::Available), PresenceState::Presenting);
    assert_eq!(
        line_of(&Event::Set { session, user, from, to, why: Why::Changed }),
        "INFO set user=fa8bf3dc-eca7-46b7-bad1-db199b62afc3 from=Available/Available \
         to=DoNotDisturb/Presenting because=config"
    );
    assert_eq!(
        line_of(&Event::Set { session, user, from: None, to, why: Why::Added }),
        "INFO set user=fa8bf3dc-eca7-46b7-bad1-db199b62afc3 to=DoNotDisturb/Presenting because=added"
    );
    assert_eq!(
        line_of(&Event::Cleared { session, user }),
        "INFO cleared user=fa8bf3dc-eca7-46b7-bad1-db199b62afc3"
    );
    let (refusal, next_try) = (Refusal::NotFound, Duration::from_secs(300));
    assert_eq!(
        line_of(&Event::Parked { session, user, refusal, next_try }),
        "WARN parked app=contoso user=fa8bf3dc-eca7-46b7-bad1-db199b62afc3 status=404 \
         code=Request_ResourceNotFound message=\"No such user\" advice=look next_try_s=300 request_id=0f6e"
    );
    assert_eq!(
        line_of(&Event::Unparked { session, user }),
        "INFO unparked app=contoso user=fa8bf3dc-eca7-46b7-bad1-db199b62afc3"
    );
}

#[test]
fn each_event_about_a_lane_has_its_name_and_fields() {
    let lane = LANE;
    assert_eq!(
        line_of(&Event::Lapsed { lane, user: USER }),
        "ERROR lapsed app=contoso user=fa8bf3dc-eca7-46b7-bad1-db199b62afc3"
    );
    let eleven = Duration::from_secs(11);
    let throttled = |foreign| Event::Throttled {
        lane,
        retry_after: Some(eleven),
        closed: eleven,
        used: 1_187,
        quota: 1_500,
        foreign,
    };
    assert_eq!(
        line_of(&throttled(false)),
        "WARN throttled app=contoso retry_after_s=11 closed_s=11 window_used=1187 of=1500 request_id=0f6e"
    );
    assert!(line_of(&throttled(true)).contains(" spent_by_others=true advice=\"someone else uses"));
    assert_eq!(
        line_of(&Event::LaneDown {
            lane,
            trouble: Trouble::Lost(Loss::Server(503)),
            sessions: 471,
            first_lapse_in: Some(Duration::from_secs(128)),
        }),
        "ERROR app_down app=contoso cause=\"status 503 x5\" detail=\"No such user\" advice=look sessions=471 \
         first_lapse_in_s=128 request_id=0f6e"
    );
    assert_eq!(
        line_of(&Event::LaneUp { lane, down_for: Duration::from_secs(400), lapsed: 12 }),
        "INFO app_up app=contoso down_s=400 lapsed=12"
    );
}

#[test]
fn each_event_about_a_token_has_its_name_and_says_what_to_do() {
    let lane = LANE;
    assert_eq!(
        line_of(&Event::TokenFailed { lane, attempt: 1, next_try: Duration::from_secs(2), good_for: None }),
        "ERROR token_failed app=contoso error=invalid_client class=fix_config aadsts=7000222 \
         meaning=\"the client secret has expired\" said=\"The provided client secret keys are expired.\" \
         advice=\"make a new one\" attempt=1 next_try_s=2 \
         correlation_id=c0"
    );
    assert_eq!(
        line_of(&Event::TokenGranted { lane, lifetime: Duration::from_secs(3_599) }),
        "INFO token_granted app=contoso lifetime_s=3599"
    );
    assert_eq!(
        line_of(&Event::TokenRejected { lane }),
        "WARN token_rejected app=contoso code=Request_ResourceNotFound advice=look request_id=0f6e"
    );
}

#[test]
fn the_end_of_a_credential_is_told_louder_as_it_comes_nearer() {
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let end = End { ending: Ending::Certificate, at: at("2027-03-01T12:00:00Z") };
    let told =
        |now: &str| text_of(|| credential_expiring("contoso", end, Notice::of(end.at, at(now)).unwrap()));
    let line = told("2027-02-20T00:00:00Z");
    assert!(
        line.starts_with(
            "WARN credential_expiring app=contoso kind=certificate expires=2027-03-01T12:00:00Z days_left=9 advice=\""
        ),
        "{line}"
    );
    assert!(told("2027-02-27T00:00:00Z").starts_with("ERROR credential_expiring"));
    assert!(told("2027-03-02T12:00:01Z").contains(" days_left=-2 "));
    let line = text_of(|| secret_expires_outdated("contoso", "2027-03-01".parse().unwrap()));
    assert!(
        line.starts_with(
            "WARN secret_expires_outdated app=contoso secret_expires=2027-03-01 advice=\"the secret is a new"
        ),
        "{line}"
    );
}

#[test]
fn a_quiet_line_is_a_debug_line() {
    let people = people(LogUsers::Id);
    let app = |_| String::new();
    let joined = Joined { people: &people, app: &app, answer: None, token: None, over: None, loud: false };
    let event = Event::Cleared { session: SESSION, user: USER };
    assert!(text_of(|| keeper_event(&event, &joined)).starts_with("DEBUG cleared"));
}

#[test]
fn people_appear_as_the_config_says() {
    assert_eq!(people(LogUsers::Name).show(USER), "Reception desk");
    assert_eq!(people(LogUsers::Name).show(Guid::from_u128(1)), Guid::from_u128(1).to_string());
    let hash = people(LogUsers::Hash).show(USER);
    assert!(hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    assert_ne!(hash, people(LogUsers::Hash).show(Guid::from_u128(1)));
}

#[test]
fn a_reload_ends_in_one_line_that_says_who_asked() {
    let counts = Counts { added: 3, changed: 12, removed: 1 };
    let plan = InForce {
        config: ConfigHash([0x7f; 32]),
        outlook: Outlook { sessions: 471, ..Outlook::default() },
        counts,
        took: Duration::from_micros(9_300),
    };
    let by = Some(Origin { pid: 20_411, uid: 0 });
    assert_eq!(
        text_of(|| reloaded(&plan, ConfigHash([0x51; 32]), 0, by)),
        "INFO reloaded config=7f7f7f7 previous=5151515 sessions=471 added=3 removed=1 changed=12 took_ms=9 \
         by_pid=20411 by_uid=0"
    );
    let refused = text_of(|| reload_refused(plan.config, 2, "conf.d/20.toml:4:12 unknown activity", by));
    assert!(
        refused
            .starts_with("ERROR reload_refused kept=7f7f7f7 problems=2 first=\"conf.d/20.toml:4:12 unknown"),
        "{refused}"
    );
}

#[test]
fn json_has_the_same_keys_and_its_numbers_are_numbers() {
    let line = json_of(|| {
        summary(&Summary { sessions: 483, held: 482, quota_used: 4.6, renewals: 118, ..Summary::default() });
    });
    assert_eq!(line["event"], "summary");
    assert_eq!(line["level"], "info");
    assert_eq!(line["sessions"], 483);
    assert_eq!(line["quota_used"], "4.6%");
    assert_eq!(line.get("p99_ms"), None, "what is not known is left out");
    assert_eq!(line.get("message"), None, "the event is the message");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
}

#[test]
fn a_line_of_a_library_is_marked_as_one() {
    let log = || tracing::warn!(target: "hyper::client", "pool\nfull");
    assert_eq!(text_of(log), r#" WARN library target=hyper::client message="pool\nfull""#.trim_start());
    let line = json_of(log);
    assert_eq!((&line["event"], &line["message"]), (&"library".into(), &"pool\nfull".into()));
}
