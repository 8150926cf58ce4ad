//! Overrides, releases and reads.

use presenced::keeper::id::{LaneIx, SessionIx};
use presenced::keeper::{Input, MonoTime, NoRead, Outcome, Over, Phase, PresenceState::*, Quota};

use crate::bench::{Bench, is_clear, is_set, plan, secs, user, wish};

#[test]
fn an_override_outlasts_plans_and_its_end_brings_back_what_the_plan_says_by_then() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    let session = t.keeper.find(LaneIx(0), user(1)).unwrap();
    let over = Some(Over { wish: Some(wish(InACall, 240)), until: t.now + secs(600) });
    t.input(Input::Override { session, over });
    let request = t.next_request(secs(1));
    assert!(is_set(&request, 1, InACall));
    t.answer(request, Outcome::Granted);
    t.reload(plan().lane(1).user(1, wish(Available, 60)));
    assert!(t.run(secs(10), |_| Outcome::Granted).is_empty(), "the plan is hidden");
    let view = t.keeper.session(session).unwrap();
    assert_eq!((view.overridden, view.planned), (true, Some(wish(Available, 60))));
    t.input(Input::Override { session, over: None });
    let request = t.next_request(secs(1));
    assert!(is_set(&request, 1, Available), "{request:?}");
    t.answer(request, Outcome::Granted);
    t.input(Input::Override { session, over: None });
    assert!(t.run(secs(10), |_| Outcome::Granted).is_empty(), "it is over already");
}

#[test]
fn an_override_over_no_session_holds_one_and_its_end_clears_it() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    t.reload(plan().lane(1).user(1, wish(Away, 240)).nobody(2));
    let session = t.keeper.find(LaneIx(0), user(2)).unwrap();
    t.input(Input::Override {
        session,
        over: Some(Over { wish: Some(wish(InACall, 5)), until: MonoTime::FAR }),
    });
    let request = t.next_request(secs(1));
    assert!(is_set(&request, 2, InACall));
    t.answer(request, Outcome::Granted);
    t.input(Input::Override { session, over: None });
    let request = t.next_request(secs(1));
    assert!(is_clear(&request, 2), "{request:?}");
}

#[test]
fn an_override_goes_before_other_changes() {
    let slow = Quota { requests: 60, per: secs(30) };
    let mut t = Bench::holding(plan().lane_with(1, slow).users(0..20, wish(Away, 240)));
    t.reload(plan().lane_with(1, slow).users(0..200, wish(Away, 240)));
    let session = t.keeper.find(LaneIx(0), user(5)).unwrap();
    t.run(secs(5), |_| Outcome::Granted);
    t.input(Input::Override {
        session,
        over: Some(Over { wish: Some(wish(InACall, 60)), until: MonoTime::FAR }),
    });
    let request = t.next_request(secs(2));
    assert!(is_set(&request, 5, InACall), "{request:?}");
}

#[test]
fn whoever_comes_while_all_are_released_is_not_set_before_it_is_over() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    t.input(Input::Release { all: true });
    let first = SessionIx::FIRST;
    t.input(Input::Override { session: first, over: Some(Over { wish: None, until: MonoTime::FAR }) });
    let request = t.next_request(secs(1));
    assert!(is_clear(&request, 1));
    t.answer(request, Outcome::Granted);
    t.reload(plan().lane(1).user(1, wish(Away, 240)).user(2, wish(Available, 60)));
    assert!(t.run(secs(60), |_| Outcome::Granted).is_empty());
    t.input(Input::Release { all: false });
    let lane = LaneIx(0);
    for n in [1, 2] {
        let session = t.keeper.find(lane, user(n)).unwrap();
        t.input(Input::Override { session, over: None });
    }
    assert_eq!(t.run(secs(5), |_| Outcome::Granted).len(), 2);
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 2);
}

#[test]
fn a_read_takes_room_that_nothing_else_needs() {
    let slow = Quota { requests: 60, per: secs(30) };
    let lane = LaneIx(0);
    let mut t = Bench::holding(plan().lane_with(1, slow).users(0..20, wish(Away, 240)));
    t.run(secs(60), |_| Outcome::Granted);
    assert!(t.keeper.read(lane, t.now).is_ok());
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].quota_used, 1);
    t.keeper.read_over(lane, t.now);
    t.reload(plan().lane_with(1, slow).users(0..200, wish(Away, 240)));
    assert_eq!(t.keeper.read(lane, t.now), Err(NoRead::NoRoom), "sets wait");
    assert_eq!(t.keeper.read(LaneIx(7), t.now), Err(NoRead::NoLane));
}

#[test]
fn an_override_that_the_quota_cannot_keep_is_not_sent_at_the_cost_of_others() {
    let small = Quota { requests: 10, per: secs(100) };
    let full = || plan().lane_with(1, small).users(0..28, wish(Available, 60));
    let mut t = Bench::holding(full());
    t.reload(full().nobody(100));
    let session = t.keeper.find(LaneIx(0), user(100)).unwrap();
    let over = |state| Some(Over { wish: Some(wish(state, 240)), until: MonoTime::FAR });
    t.input(Input::Override { session, over: over(Available) });
    assert_eq!(t.keeper.session(session).unwrap().phase, Phase::Unfunded);
    t.input(Input::Override { session, over: over(Away) });
    assert_eq!(t.keeper.session(session).unwrap().phase, Phase::Pending, "that is seldom renewed");
    t.run(secs(1_200), |_| Outcome::Granted);
    assert_eq!((t.keeper.snapshot(t.now).lanes[0].held, t.lapses()), (29, 0));
}
