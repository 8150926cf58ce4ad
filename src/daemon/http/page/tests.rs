use std::time::{Duration, SystemTime};

use super::strip::{self, Shown};
use super::{ahead, cards, words};
use crate::daemon::driver::Looked;
use crate::daemon::overrides::{Overrides, Put as Over, Release, Source, Whom};
use crate::daemon::story::{Moment, What};
use crate::daemon::tempo::{MINUTES, Minute};
use crate::keeper::id::{Guid, LaneKey, SessionIx};
use crate::keeper::snapshot::Next;
use crate::keeper::{MonoTime, Phase, PresenceState, SessionView};

const NOW: MonoTime = MonoTime::from_secs(1_000_000);
const STATE: PresenceState = PresenceState::Available;
const HOUR: Duration = Duration::from_secs(3_600);

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_000)
}

/// A session in this phase that showed these so many seconds ago, and was granted last a minute ago.
fn looked(phase: Phase, story: &[(u64, What)]) -> Looked {
    let moment = |&(ago, what)| Moment { at: NOW - Duration::from_secs(ago), what };
    Looked {
        whom: Whom {
            lane: LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(2) },
            user: Guid::from_u128(3),
        },
        at: NOW,
        wall: wall(),
        view: Some(SessionView {
            session: SessionIx::FIRST,
            user: Guid::from_u128(3),
            wish: None,
            overridden: false,
            until: MonoTime::FAR,
            planned: None,
            granted: (phase == Phase::Held).then_some(STATE),
            sent_at: (phase == Phase::Held).then(|| NOW - Duration::from_secs(60)),
            lapses_at: None,
            expires_at: None,
            phase,
            next: Next::Nothing,
            lost: 0,
            renewals: 0,
        }),
        holds: None,
        overrides: Vec::new(),
        release: None,
        story: story.iter().map(moment).collect(),
        last: None,
    }
}

fn held(overridden: bool) -> What {
    What::Held { state: STATE, overridden }
}

/// What a strip of an hour shows: from and until how many seconds ago. The plan is in force since 600 s.
fn shows(looked: &Looked) -> Vec<(Shown, u64, u64)> {
    let parts = strip::parts(looked, HOUR, wall() - Duration::from_secs(600));
    parts.into_iter().map(|part| (part.shown, part.began.as_secs(), part.ended.as_secs())).collect()
}

#[test]
fn a_strip_shows_what_was_from_its_first_moment_to_now() {
    let late = What::Late { state: STATE, overridden: false };
    let story =
        [(9_000, held(false)), (1_200, late), (1_100, What::Lapsed), (900, held(true)), (300, What::Parked)];
    let looked = looked(Phase::Parked(crate::keeper::Refusal::NotFound), &story);
    assert_eq!(
        shows(&looked),
        [
            (Shown::Held, 3_600, 1_200),
            (Shown::Late, 1_200, 1_100),
            (Shown::Lapsed, 1_100, 900),
            (Shown::Overridden, 900, 300),
            (Shown::Parked, 300, 0),
        ]
    );
    let parts = strip::parts(&looked, HOUR, wall());
    assert_eq!(
        strip::in_words(&parts, HOUR),
        "In the last 1 h: held 40 min, overridden 10 min, late 1 min 40 s, lapsed 3 min 20 s, refused 5 min; now refused"
    );
    assert_eq!(strip::told(&parts[3], wall()), "overridden: Available, 09:31:40 to 09:41:40 (10 min)");
}

#[test]
fn of_what_nobody_remembers_a_strip_shows_nothing() {
    assert_eq!(shows(&looked(Phase::Held, &[])), [(Shown::Held, 60, 0)], "since it was granted last");
    assert_eq!(shows(&looked(Phase::Pending, &[])), [(Shown::Pending, 600, 0)], "since the plan wants it");
    assert_eq!(shows(&looked(Phase::Unfunded, &[])), [(Shown::Unfunded, 600, 0)]);
    let mut released = looked(Phase::Empty, &[(2_000, held(false)), (100, What::Empty)]);
    released.release =
        Some(Release { by: "uid 0".into(), reason: None, since: wall() - Duration::from_secs(90) });
    assert_eq!(
        shows(&released),
        [(Shown::Held, 2_000, 100), (Shown::None, 100, 90), (Shown::Released, 90, 0)]
    );
    let nothing = Looked { view: None, ..looked(Phase::Held, &[]) };
    assert_eq!(shows(&nothing), []);
    assert_eq!(strip::in_words(&[], HOUR), "In the last 1 h: no record 1 h");
}

#[test]
fn a_short_lapse_is_drawn_wide_enough_to_be_seen_and_within_the_strip() {
    let looked = looked(Phase::Lapsed, &[(3_600, held(false)), (1, What::Lapsed)]);
    let parts = strip::parts(&looked, HOUR, wall());
    let drawn = strip::draw(&parts, None, HOUR, wall(), "in words").into_string();
    assert!(drawn.contains(r#"<svg class="strip" role="img" aria-label="in words""#), "{drawn}");
    assert!(drawn.contains(r#"<rect class="lapsed" x="99.20%" y="0" width="0.80%" height="20">"#), "{drawn}");
    assert!(drawn.contains(r#"fill="url(#cross)""#), "not by colour alone: {drawn}");
}

#[test]
fn what_comes_is_the_schedules_after_the_override_and_has_the_right_half() {
    use crate::config::{Look, Sources, load_sources};
    let text = r#"
        [[app]]
        name = "contoso"
        tenant = "00000000-0000-0000-0000-000000000001"
        client_id = "00000000-0000-0000-0000-000000000002"
        credential = { secret_env = "SECRET" }
        [[schedule]]
        name = "shift"
        availability = "Available"
        windows = [{ days = "Mon-Sun", from = "10:00", to = "10:30" }]
        [[user]]
        id = "00000000-0000-0000-0000-000000000003"
        availability = "Away"
        schedules = ["shift"]
    "#;
    let Ok(loaded) = load_sources(Sources::new("config.toml", text), Look::TextsAlone) else { panic!() };
    let (rotas, lane) = (&loaded.rotas, &loaded.plan.lanes()[0].key);
    // It is 09:46:40 UTC.
    let mut looked = looked(Phase::Held, &[(1_800, held(false))]);
    looked.whom.lane = lane.clone();
    let coming = ahead::coming(&looked, rotas, HOUR);
    let told = "To come: Away to 10:00:00, then Available (schedule shift) to 10:30:00, then Away";
    assert_eq!(ahead::in_words(&coming, wall()), told);
    assert_eq!(coming[1].from, Duration::from_secs(800));
    let parts = strip::parts(&looked, HOUR, wall());
    let drawn = strip::draw(&parts, Some(&coming), HOUR, wall(), told).into_string();
    for part in [
        r#"<rect class="held" x="25.00%" y="7" width="25.00%""#,
        r#"<rect class="coming" x="61.11%" y="7.5" width="25.00%""#,
        "<title>to come: Available (schedule shift), 10:00:00 to 10:30:00</title>",
    ] {
        assert!(drawn.contains(part), "{part}: {drawn}");
    }

    let over = Over {
        state: None,
        ends_at: NOW + Duration::from_secs(1_200),
        ends_wall: wall() + Duration::from_secs(1_200),
        priority: 0,
        by: "uid 0".into(),
        reason: None,
        since: wall(),
    };
    let mut overrides = Overrides::default();
    overrides.put(looked.whom.clone(), Source::Operator, over).unwrap();
    looked.overrides =
        overrides.of(&looked.whom).map(|(source, over)| (source.clone(), over.clone())).collect();
    looked.holds = Some(Source::Operator);
    assert_eq!(
        ahead::in_words(&ahead::coming(&looked, rotas, HOUR), wall()),
        "To come: none (override operator) to 10:06:40, then Available (schedule shift) to 10:30:00, then Away"
    );
    looked.release = Some(Release { by: "uid 0".into(), reason: None, since: wall() });
    assert_eq!(ahead::coming(&looked, rotas, HOUR), [], "nobody knows until when");
}

#[test]
fn every_look_has_a_shape_or_a_pattern_of_its_own() {
    let drawn = |shown: Shown| {
        let mark = strip::mark(shown).into_string();
        mark.replace(&format!("class=\"{}\"", shown.words().1), "")
    };
    for (n, one) in Shown::ALL.into_iter().enumerate() {
        for other in &Shown::ALL[n + 1..] {
            assert_ne!(drawn(one), drawn(*other), "{one:?} and {other:?}");
        }
    }
}

#[test]
fn the_plot_is_as_high_as_its_highest_minute_and_its_words_tell_the_figures() {
    let mut hour = [Minute::default(); MINUTES];
    hour[0] = Minute { requests: 1_000, failed: 0 };
    hour[59] = Minute { requests: 10, failed: 10 };
    let drawn = cards::plot(Some(&hour)).into_string();
    let told = "Requests in the last hour: 1,010, 10 of them not granted, at most 1,000 in a minute";
    assert!(drawn.contains(told), "{drawn}");
    assert!(drawn.contains(r#"<path class="granted" d="M0 44h3v-42h-3z">"#), "{drawn}");
    assert!(drawn.contains(r#"<path class="failed" d="M236 44h3v-1h-3z">"#), "however few: {drawn}");
    let none = cards::plot(None).into_string();
    assert!(none.contains("Requests in the last hour: 0, 0 of them not granted"), "{none}");
    assert_eq!(words::size(MINUTES), "60");
}
