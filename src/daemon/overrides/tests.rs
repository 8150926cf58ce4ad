//! Which override holds, and for how long.

use super::*;
use crate::keeper::id::Guid;

const NOW: MonoTime = MonoTime::from_secs(1_000);

fn whom(user: u128) -> Whom {
    let lane = LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(2) };
    Whom { lane, user: Guid::from_u128(user) }
}

fn put(state: PresenceState, secs: u64, priority: i32) -> Put {
    Put {
        state: Some(state),
        ends_at: NOW + Duration::from_secs(secs),
        ends_wall: SystemTime::UNIX_EPOCH + Duration::from_secs(secs),
        priority,
        by: "token pbx".into(),
        reason: None,
        since: SystemTime::UNIX_EPOCH,
    }
}

fn call(name: &str) -> Source {
    Source::named(name).unwrap()
}

fn holds(overrides: &Overrides) -> Option<(String, Option<PresenceState>)> {
    match overrides.rule(&whom(1))? {
        Rule::Released(_) => Some(("released".to_owned(), None)),
        Rule::Override(source, over) => Some((source.to_string(), over.state)),
    }
}

#[test]
fn the_operators_holds_then_the_highest_priority_then_the_newest() {
    use PresenceState::{Available, Away, InACall, Presenting};
    let mut all = Overrides::default();
    assert_eq!(holds(&all), None);
    all.put(whom(1), call("a"), put(InACall, 60, 0)).unwrap();
    all.put(whom(1), call("b"), put(Away, 60, 0)).unwrap();
    assert_eq!(holds(&all), Some(("b".to_owned(), Some(Away))));
    all.put(whom(1), call("a"), put(InACall, 90, 0)).unwrap();
    assert_eq!(holds(&all), Some(("b".to_owned(), Some(Away))), "a call that goes on is no newer");
    all.put(whom(1), call("c"), put(Presenting, 60, 5)).unwrap();
    all.put(whom(1), call("d"), put(Away, 60, -5)).unwrap();
    assert_eq!(holds(&all), Some(("c".to_owned(), Some(Presenting))));
    all.put(whom(1), Source::Operator, put(Available, 60, -100)).unwrap();
    assert_eq!(holds(&all), Some(("operator".to_owned(), Some(Available))));
    assert_eq!(all.rule(&whom(2)), None, "somebody else");
}

#[test]
fn two_calls_on_one_user_end_in_any_order() {
    for first in ["line-1", "line-2"] {
        let mut all = Overrides::default();
        all.put(whom(1), call("line-1"), put(PresenceState::InACall, 60, 0)).unwrap();
        all.put(whom(1), call("line-2"), put(PresenceState::InACall, 60, 0)).unwrap();
        assert!(all.remove(&whom(1), &call(first)).is_some());
        assert_eq!(holds(&all).unwrap().1, Some(PresenceState::InACall), "after {first}");
        assert!(all.remove(&whom(1), &call(first)).is_none(), "it is over");
        let other = if first == "line-1" { "line-2" } else { "line-1" };
        all.remove(&whom(1), &call(other)).unwrap();
        assert_eq!(holds(&all), None);
        assert_eq!(all.next_end(), MonoTime::FAR);
    }
}

#[test]
fn each_ends_by_itself_and_one_that_is_prolonged_later() {
    let mut all = Overrides::default();
    all.put(whom(1), call("a"), put(PresenceState::InACall, 60, 0)).unwrap();
    all.put(whom(1), call("b"), put(PresenceState::Away, 30, 0)).unwrap();
    all.put(whom(1), call("a"), put(PresenceState::InACall, 120, 0)).unwrap();
    assert_eq!(all.next_end(), NOW + Duration::from_secs(30));
    assert_eq!(all.expire(NOW + Duration::from_secs(29)), None);
    let (_, source, _) = all.expire(NOW + Duration::from_secs(61)).unwrap();
    assert_eq!(source, call("b"));
    assert_eq!(all.expire(NOW + Duration::from_secs(61)), None);
    assert!(all.expire(NOW + Duration::from_secs(120)).is_some());
    assert!(all.is_empty() && all.whom().is_empty());
}

#[test]
fn a_release_stands_above_everything_until_it_is_taken_back() {
    let release = || Release { by: "uid 0".into(), reason: None, since: SystemTime::UNIX_EPOCH };
    let mut all = Overrides::default();
    all.put(whom(1), Source::Operator, put(PresenceState::Away, 60, 0)).unwrap();
    assert!(all.release(whom(1), release()));
    assert!(!all.release(whom(1), release()), "once");
    assert_eq!(holds(&all).unwrap().0, "released");
    assert!(all.resume(&whom(1)) && !all.resume(&whom(1)));
    assert_eq!(holds(&all).unwrap().0, "operator");
    all.release(whom(2), release());
    assert!(all.release_all(release()));
    assert_eq!(holds(&all).unwrap().0, "released");
    assert_eq!(all.resume_all(), (vec![whom(2)], true));
    assert_eq!(holds(&all).unwrap().0, "operator");
    assert_eq!(all.rule(&whom(2)), None);
}

#[test]
fn what_holds_goes_along_to_another_lane_and_ends_there() {
    let there = Whom { lane: LaneKey { client: Guid::from_u128(3), ..whom(1).lane }, user: whom(1).user };
    let mut all = Overrides::default();
    all.put(whom(1), call("a"), put(PresenceState::InACall, 60, 0)).unwrap();
    all.put(whom(1), Source::Operator, put(PresenceState::Away, 30, 0)).unwrap();
    all.release(whom(1), Release { by: "uid 0".into(), reason: None, since: SystemTime::UNIX_EPOCH });
    assert_eq!(all.move_to(&whom(1), &there).len(), 6, "each is over here and in force there");
    assert_eq!((all.rule(&whom(1)), all.len(), all.of(&there).count()), (None, 2, 2));
    assert!(matches!(all.rule(&there), Some(Rule::Released(_))));
    assert!(all.resume(&there));
    assert_eq!(all.next_end(), NOW + Duration::from_secs(30));
    assert_eq!(all.expire(NOW + Duration::from_secs(90)).unwrap().0, there);
    assert_eq!(all.expire(NOW + Duration::from_secs(90)).unwrap().0, there);
    assert!(all.is_empty() && all.lines().is_empty());
}

#[test]
fn there_is_a_limit_and_prolonging_does_not_meet_it() {
    let mut all = Overrides::default();
    for n in 0..MOST_OF_ONE {
        all.put(whom(1), call(&n.to_string()), put(PresenceState::InACall, 60, 0)).unwrap();
    }
    assert_eq!(all.put(whom(1), call("more"), put(PresenceState::Away, 60, 0)), Err(Full::OfOne));
    assert!(all.put(whom(1), call("0"), put(PresenceState::InACall, 90, 0)).unwrap().is_some());
    assert_eq!(all.len(), MOST_OF_ONE);
    all.put(whom(1), Source::Operator, put(PresenceState::Away, 60, 0))
        .expect("calls do not lock the operator out");
}

#[test]
fn a_source_has_a_name_that_can_be_shown() {
    assert_eq!(Source::named("operator"), Some(Source::Operator));
    assert!(Source::named("1700000000.12").is_some() && Source::named(&"x".repeat(128)).is_some());
    for bad in ["", "  ", "a\nb", &"x".repeat(129)] {
        assert_eq!(Source::named(bad), None, "{bad:?}");
    }
}
