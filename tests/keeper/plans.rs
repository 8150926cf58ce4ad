//! Reloads, restarts, moves, and the end.

use presenced::keeper::{
    Call, Event, Input, LaneHead, MonoTime, OnRemove, Outcome, Over, PresenceState::*, Quota, Record,
    Request, RestoredLane, id::Slot,
};

use crate::bench::{Bench, HOUR, is_clear, is_set, key, lease, plan, secs, user, wish};

#[test]
fn a_reload_touches_only_what_changes() {
    let mut t = Bench::holding(plan().lane(1).users(0..40, wish(Away, 240)));
    t.now += secs(60);
    t.reload(plan().lane(1).users(5..40, wish(Away, 240)).user(50, wish(InACall, 60)));
    t.now += secs(1);
    let sent = t.run(secs(30), |_| Outcome::Granted);
    let sets: Vec<_> = sent.iter().filter(|(_, r)| r.call != Call::Clear).collect();
    assert_eq!(sets.len(), 1);
    assert!(is_set(&sets[0].1, 50, InACall));
    let mut cleared: Vec<_> =
        sent.iter().filter(|(_, r)| r.call == Call::Clear).map(|(_, r)| r.user).collect();
    cleared.sort_unstable();
    assert_eq!(cleared, (0..5).map(user).collect::<Vec<_>>());
    let applied =
        t.events.iter().find_map(|e| if let Event::PlanApplied(counts) = e { Some(*counts) } else { None });
    let applied = applied.unwrap();
    assert_eq!((applied.added, applied.changed, applied.removed), (1, 0, 5));
}

#[test]
fn a_removed_user_with_a_set_in_flight_is_cleared_after_its_answer_and_once() {
    let mut t = Bench::holding(plan().lane(1).users(1..3, wish(Available, 60)));
    let asked = t.next_request(secs(300));
    let n = if asked.user == user(1) { 1 } else { 2 };
    t.reload(plan().lane(1).user(3 - n, wish(Available, 60)));
    let others = t.run(secs(5), |_| Outcome::Granted);
    assert!(others.iter().all(|(_, r)| r.user != asked.user), "not before the set is answered");
    t.answer(asked, Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None });
    let mine: Vec<_> =
        t.run(secs(5), |_| Outcome::Granted).into_iter().filter(|(_, r)| r.user == asked.user).collect();
    assert!(mine.len() == 1 && is_clear(&mine[0].1, n), "lost may mean done: {mine:?}");
    let later = t.run(HOUR, |_| Outcome::Granted);
    assert!(later.iter().all(|(_, r)| r.user != asked.user), "never again");
}

#[test]
fn a_lost_set_of_something_else_leaves_nothing_to_rely_on() {
    let lost = Outcome::Lost { loss: presenced::keeper::Loss::Transport, retry_after: None };
    for (before, other) in [(wish(Away, 240), wish(InACall, 240)), (wish(Away, 240), wish(Away, 5))] {
        let mut t = Bench::holding(plan().lane(1).user(1, before));
        t.reload(plan().lane(1).user(1, other));
        let asked = t.next_request(secs(1));
        assert!(
            t.remembered.last().unwrap().2.unwrap().lease.is_none(),
            "a restart must not rely on it either"
        );
        t.reload(plan().lane(1).user(1, before));
        t.answer(asked, lost);
        let sent = t.run(secs(5), |_| Outcome::Granted);
        assert_eq!(sent.len(), 1, "it may have been done: {sent:?}");
        assert_eq!(sent[0].1.call, Call::Set(before));
    }
}

#[test]
fn a_user_who_comes_back_while_being_cleared_is_set_again() {
    let lost = Outcome::Lost { loss: presenced::keeper::Loss::Transport, retry_after: None };
    for answer in [lost, Outcome::Granted] {
        let mut t = Bench::holding(plan().lane(1).users(1..3, wish(Away, 240)));
        t.reload(plan().lane(1).user(2, wish(Away, 240)));
        let clear = t.next_request(secs(1));
        assert!(is_clear(&clear, 1));
        t.reload(plan().lane(1).users(1..3, wish(Away, 240)));
        t.answer(clear, answer);
        let sent = t.run(secs(5), |_| Outcome::Granted);
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(is_set(&sent[0].1, 1, Away));
    }
}

#[test]
fn a_user_left_alone_on_removal_gets_no_clear() {
    let mut t = Bench::holding(plan().lane(1).users(1..3, wish(Available, 60)));
    t.on_remove = OnRemove::Leave;
    t.reload(plan().lane(1).user(1, wish(Available, 60)));
    let sent = t.run(HOUR, |_| Outcome::Granted);
    assert!(sent.iter().all(|(_, r)| r.user == user(1)));
    let (_, gone, record) = t.remembered.iter().find(|(_, _, record)| record.is_none()).unwrap();
    assert_eq!((*gone, *record), (user(2), None), "the ledger forgets it");
}

#[test]
fn a_user_who_moves_is_set_there_before_being_cleared_here() {
    let here_and_there = |n: u128| {
        let on = |lane: u128| if n == lane { vec![7] } else { vec![] };
        let mut p = plan();
        for lane in 1..3 {
            p = p.lane(lane).user(100 + lane, wish(Away, 240));
            for u in on(lane) {
                p = p.user(u, wish(Available, 60));
            }
        }
        p
    };
    for (from, to) in [(1, 2), (2, 1)] {
        let mut t = Bench::holding(here_and_there(from));
        t.reload(here_and_there(to));
        let sent = t.run(secs(10), |_| Outcome::Granted);
        let of_user: Vec<_> = sent.iter().filter(|(_, r)| r.user == user(7)).collect();
        assert_eq!(of_user.len(), 2, "{of_user:?}");
        assert!(is_set(&of_user[0].1, 7, Available) && is_clear(&of_user[1].1, 7));
        assert_ne!(of_user[0].1.session.lane, of_user[1].1.session.lane);
    }
}

#[test]
fn a_user_who_moves_to_a_lane_that_refuses_is_cleared_here_in_the_end() {
    let mut t =
        Bench::holding(plan().lane(1).users(7..9, wish(Available, 60)).lane(2).user(1, wish(Away, 240)));
    t.reload(
        plan()
            .lane(1)
            .user(8, wish(Available, 60))
            .lane(2)
            .user(1, wish(Away, 240))
            .user(7, wish(Available, 60)),
    );
    let refused = Outcome::Refused(presenced::keeper::Refusal::Forbidden);
    let sent = t.run(secs(400), |r| if is_set(r, 7, Available) { refused } else { Outcome::Granted });
    assert!(sent.iter().any(|(_, r)| is_clear(r, 7)));
}

#[test]
fn a_user_taken_off_the_config_in_the_middle_of_a_move_is_cleared_at_once() {
    for onward in [None, Some(3), Some(1)] {
        let mut t = Bench::holding(moves_to(Some(1)));
        t.reload(moves_to(Some(2)));
        t.reload(moves_to(onward));
        // Where it was to move first, it is refused.
        let refused = Outcome::Refused(presenced::keeper::Refusal::Forbidden);
        let answer = |r: &Request| {
            if is_set(r, 7, Available) && r.session.lane.0 == 1 { refused } else { Outcome::Granted }
        };
        let sent = t.run(secs(10), answer);
        let lanes = |wanted: fn(&Request) -> bool| -> Vec<u32> {
            sent.iter().filter(|(_, r)| wanted(r)).map(|(_, r)| r.session.lane.0).collect()
        };
        let cleared = lanes(|r| is_clear(r, 7));
        let set = lanes(|r| is_set(r, 7, Available));
        match onward {
            Some(1) => assert_eq!((set, cleared), (vec![1], vec![]), "it stays where it was"),
            Some(_) => assert_eq!((set, cleared), (vec![1, 2], vec![0])),
            None => assert_eq!((set, cleared), (vec![1], vec![0])),
        }
    }
}

/// Three lanes, and user 7 in one of them.
fn moves_to(lane: Option<u128>) -> crate::bench::PlanOf {
    let mut p = plan();
    for n in 1..=3 {
        p = p.lane(n).user(100 + n, wish(Away, 240));
        if lane == Some(n) {
            p = p.user(7, wish(Available, 60));
        }
    }
    p
}

#[test]
fn an_app_that_goes_clears_its_sessions_and_closes() {
    let mut t =
        Bench::holding(plan().lane(1).user(1, wish(Away, 240)).lane(2).users(10..15, wish(Away, 240)));
    t.reload(plan().lane(1).user(1, wish(Away, 240)));
    let sent = t.run(secs(10), |_| Outcome::Granted);
    assert_eq!(sent.iter().filter(|(_, r)| r.call == Call::Clear).count(), 5);
    assert_eq!(t.closed.len(), 1);
}

#[test]
fn an_app_that_goes_and_cannot_clear_closes_after_ten_minutes() {
    let mut t =
        Bench::holding(plan().lane(1).user(1, wish(Away, 240)).lane(2).users(10..15, wish(Away, 240)));
    t.reload(plan().lane(1).user(1, wish(Away, 240)));
    let lost = Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None };
    let answer = |r: &Request| if r.call == Call::Clear { lost } else { Outcome::Granted };
    t.run(secs(595), answer);
    assert!(t.closed.is_empty());
    t.run(secs(60), answer);
    assert_eq!(t.closed.len(), 1);
    t.reload(plan().lane(1).user(1, wish(Away, 240)).lane(2).user(10, wish(Away, 240)));
    let sent = t.run(secs(5), |_| Outcome::Granted);
    assert!(is_set(&sent[0].1, 10, Away), "the app may come back");
}

#[test]
fn a_restart_is_a_reload_from_the_ledgers_plan() {
    let mut t = Bench::new();
    let at = |ago: u64| t.now - secs(ago);
    let available = |ago| Record { wish: wish(Available, 60), lease: Some(lease(Available, 60, at(ago))) };
    let unknown = Record { wish: wish(Available, 60), lease: None };
    let sessions = vec![
        (Slot(0), user(1), available(20)),
        (Slot(2), user(2), available(30)),
        (Slot(3), user(3), available(40)),
        (Slot(5), user(4), unknown),
        (Slot(6), user(5), available(400)),
    ];
    let head = LaneHead { name: "app1".into(), quota: Quota::PRESENCE };
    t.plan = plan().lane(1).users(1..6, wish(Available, 60)).build();
    t.input(Input::Restore(vec![RestoredLane { key: key(1), head, sessions }]));
    t.reload(
        plan().lane(1).user(1, wish(Available, 60)).user(2, wish(Away, 60)).users(4..7, wish(Available, 60)),
    );
    let sent = t.run(secs(60), |_| Outcome::Granted);
    let of =
        |n: u128| sent.iter().filter(|(_, r)| r.user == user(n)).map(|(_, r)| r.call).collect::<Vec<_>>();
    assert_eq!(of(1), [], "it goes on with the lease it has");
    assert_eq!(of(2), [Call::Set(wish(Away, 60))]);
    assert_eq!(of(3), [Call::Clear]);
    assert_eq!(of(4), [Call::Set(wish(Available, 60))], "not known to be held");
    assert_eq!(of(5), [Call::Set(wish(Available, 60))], "lapsed while we were away");
    assert_eq!(of(6), [Call::Set(wish(Available, 60))], "new");
    let later = t.run(secs(100), |_| Outcome::Granted);
    let (renewed_at, _) = later.iter().find(|(_, r)| r.user == user(1)).unwrap();
    assert_eq!(renewed_at.since(MonoTime::from_secs(1_000_000)).as_secs(), 130, "150 s after its last send");
}

#[test]
fn what_is_remembered_can_be_restored() {
    let mut t = Bench::holding(plan().lane(1).users(1..4, wish(Available, 60)));
    let (first, second) = (t.remembered[0], *t.remembered.last().unwrap());
    assert!(first.2.is_some_and(|record| record.lease.is_none()), "said before the first set goes out");
    assert!(second.2.is_some_and(|record| record.lease.is_some()), "and after its answer");
    t.reload(plan().lane(1));
    t.run(secs(10), |_| Outcome::Granted);
    assert_eq!(t.remembered.iter().filter(|(_, _, record)| record.is_none()).count(), 3);
}

#[test]
fn a_stop_that_leaves_waits_for_what_is_in_flight_and_sends_nothing() {
    let mut t = Bench::holding(plan().lane(1).users(1..10, wish(Available, 60)));
    let asked = t.next_request(secs(300));
    t.requests.clear();
    t.input(Input::Drain { clear: false });
    assert!(!t.events.contains(&Event::Drained));
    t.now += HOUR;
    t.input(Input::Wake);
    assert!(t.requests.is_empty());
    t.answer(asked, Outcome::Granted);
    let in_flight = t.keeper.snapshot(t.now).lanes[0].in_flight;
    assert_eq!(t.events.contains(&Event::Drained), in_flight == 0);
}

#[test]
fn a_stop_that_clears_clears_everything_once() {
    let mut t =
        Bench::holding(plan().lane(1).users(0..30, wish(Available, 60)).lane(2).users(0..5, wish(Away, 60)));
    t.input(Input::Drain { clear: true });
    let sent = t.run(secs(60), |_| Outcome::Granted);
    assert_eq!(sent.len(), 35);
    assert!(sent.iter().all(|(_, r)| r.call == Call::Clear));
    assert!(t.events.contains(&Event::Drained));
}

#[test]
fn a_change_that_was_lost_is_not_believed_undone() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    t.reload(plan().lane(1).user(1, wish(InACall, 240)));
    let asked = t.next_request(secs(1));
    t.reload(plan().lane(1).user(1, wish(Away, 240)));
    t.answer(asked, Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None });
    let again = t.next_request(secs(5));
    assert!(is_set(&again, 1, Away), "it may show a call: {again:?}");
}

#[test]
fn a_clear_that_was_lost_is_not_believed_undone() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)).user(2, wish(Away, 240)));
    t.reload(plan().lane(1).user(2, wish(Away, 240)));
    let asked = t.next_request(secs(1));
    assert!(is_clear(&asked, 1));
    t.answer(asked, Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None });
    t.reload(plan().lane(1).user(1, wish(Away, 240)).user(2, wish(Away, 240)));
    let again = t.next_request(secs(5));
    assert!(is_set(&again, 1, Away), "it may be gone: {again:?}");
}

#[test]
fn the_ledger_knows_no_lease_while_something_else_is_asked_for() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)).user(2, wish(Away, 240)));
    let last = |t: &Bench, n: u128| t.remembered.iter().rev().find(|(_, u, _)| *u == user(n)).unwrap().2;
    assert!(last(&t, 1).unwrap().lease.is_some());
    t.reload(plan().lane(1).user(1, wish(InACall, 240)));
    t.next_request(secs(1));
    t.next_request(secs(1));
    assert_eq!(last(&t, 1), Some(Record { wish: wish(InACall, 240), lease: None }), "a set on its way");
    assert_eq!(last(&t, 2), Some(Record { wish: wish(Away, 240), lease: None }), "a clear on its way");
}

#[test]
fn a_restart_sends_nothing_for_those_whom_the_quota_left_out_before() {
    let slow = Quota { requests: 30, per: secs(30) };
    let mut t = Bench::new();
    let plan = || plan().lane_with(1, slow).users(0..400, wish(Available, 60));
    t.plan = plan().build();
    let record = |n: u64| Record {
        wish: wish(Available, 60),
        lease: Some(lease(Available, 60, t.now - secs(n * 3 / 4))),
    };
    let sessions = (0..400_u32).map(|n| (Slot(n), user(n.into()), record(n.into()))).collect();
    let head = LaneHead { name: "app1".into(), quota: slow };
    t.input(Input::Restore(vec![RestoredLane { key: key(1), head, sessions }]));
    t.reload(plan());
    let sent = t.run(HOUR, |_| Outcome::Granted);
    let lane = &t.keeper.snapshot(t.now).lanes[0];
    assert_eq!(lane.unfunded, 400 - 281);
    assert!(sent.iter().all(|(_, r)| r.user < user(281)), "the first by key are funded");
}

#[test]
fn a_user_who_moves_is_not_cleared_by_a_probe() {
    let mut t = Bench::holding(
        plan().lane(1).user(7, wish(Away, 240)).user(8, wish(Away, 240)).lane(2).user(1, wish(Away, 240)),
    );
    t.input(Input::RenewAll);
    let asked = t.next_request(secs(5));
    t.answer(asked, Outcome::Throttled { retry_after: Some(secs(5)) });
    while let Some(asked) = t.requests.pop_front() {
        t.answer(asked, Outcome::Granted);
    }
    t.reload(
        plan().lane(1).user(8, wish(Away, 240)).lane(2).user(1, wish(Away, 240)).user(7, wish(Away, 240)),
    );
    let lost = Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None };
    let there = t.next_request(secs(5));
    assert!(is_set(&there, 7, Away), "{there:?}");
    let sent = t.run(secs(60), |r| if r.call == Call::Clear { Outcome::Granted } else { lost });
    assert!(sent.iter().all(|(_, r)| r.call != Call::Clear), "it is not set there yet");
}

#[test]
fn a_change_for_a_session_that_is_gone_does_no_harm() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)).user(2, wish(Away, 240)));
    let session = t.keeper.find(presenced::keeper::id::LaneIx(0), user(1)).unwrap();
    t.reload(plan().lane(1).user(2, wish(Away, 240)));
    t.run(secs(5), |_| Outcome::Granted);
    assert_eq!(t.keeper.find(session.lane, user(1)), None);
    for wish in [Some(wish(InACall, 60)), None] {
        t.input(Input::Override { session, over: Some(Over { wish, until: MonoTime::FAR }) });
    }
    assert!(t.run(secs(60), |_| Outcome::Granted).is_empty());
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].sessions, 1);
}

#[test]
fn an_app_that_closes_in_its_turn_at_the_shared_budget_passes_the_turn_on() {
    // Two tenants of one client, with quotas that leave nothing but Graph's limit for an app.
    let vast = Quota { requests: 1_000_000, per: secs(10) };
    let of = |tenant: u128, users: std::ops::Range<u128>| {
        let mut lane = plan().lane_with(7, vast).users(users, wish(Away, 240)).build().into_lanes().remove(0);
        lane.key.tenant = user(tenant);
        lane
    };
    let mut t = Bench::new();
    t.token = None;
    let record = Record { wish: wish(Away, 240), lease: Some(lease(Away, 240, t.now - secs(60))) };
    let old = presenced::keeper::Plan::new(vec![of(1, 0..3_000), of(2, 0..3_000)]);
    let restored = old.lanes().iter().map(|lane| RestoredLane {
        key: lane.key.clone(),
        head: lane.head.clone(),
        sessions: (0..).map(Slot).zip(&lane.sessions).map(|(slot, s)| (slot, s.user, record)).collect(),
    });
    t.input(Input::Restore(restored.collect()));
    let mut removal = |new: Vec<presenced::keeper::LanePlan>, old: &presenced::keeper::Plan| {
        let new = presenced::keeper::Plan::new(new);
        let diff = Box::new(presenced::keeper::diff(old, &new));
        t.input(Input::Plan { diff, on_remove: OnRemove::Clear });
        for _ in 0..20 {
            t.input(Input::Wake);
        }
        t.now += secs(1);
        new
    };
    let without = removal(vec![of(1, 0..3_000)], &old);
    removal(vec![of(1, 0..1)], &without);
    t.now = MonoTime::from_secs(1_000_600) - std::time::Duration::from_micros(500);
    let token = || presenced::keeper::TokenAnswer::Granted { lifetime: HOUR, refresh_in: None };
    t.input(Input::Token { lane: presenced::keeper::id::LaneIx(1), answer: token() });
    for request in std::mem::take(&mut t.requests) {
        t.answer(request, Outcome::Granted);
    }
    t.input(Input::Token { lane: presenced::keeper::id::LaneIx(0), answer: token() });
    assert!(t.requests.is_empty(), "the budget of the app is spent: {}", t.requests.len());
    t.now += std::time::Duration::from_millis(1);
    t.input(Input::Wake);
    assert_eq!(t.closed.len(), 1);
    t.next_request(secs(1));
}
