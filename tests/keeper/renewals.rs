//! Renewing, the order of sends, edges, and what is left for extra.

use presenced::keeper::{
    Call, Event, Expiration, Input, MonoTime, Outcome, Over,
    PresenceState::*,
    Quota, Record, RestoredLane,
    id::{SessionIx, Slot},
};

use crate::bench::{Bench, HOUR, is_set, key, lease, plan, secs, user, wish};

#[test]
fn a_session_is_renewed_at_half_its_term_in_a_small_lane() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Available, 60)).user(2, wish(Away, 240)));
    let sent = t.run(4 * HOUR, |_| Outcome::Granted);
    let available = sent.iter().filter(|(_, r)| is_set(r, 1, Available)).count();
    let away = sent.iter().filter(|(_, r)| is_set(r, 2, Away)).count();
    assert_eq!((available, away), (4 * 24, 2), "each 150 s, and each two hours");
    assert_eq!(t.lapses(), 0);
}

#[test]
fn the_request_time_leaves_room_for_three_tries() {
    let mut t = Bench::holding(plan().lane(1).users(0..14_000, wish(Available, 60)));
    let request = t.next_request(secs(300));
    let time = request.deadline.since(t.now);
    assert!((3.2..3.4).contains(&time.as_secs_f64()), "a third of ten seconds: {time:?}");
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    let request = t.next_request(4 * HOUR);
    assert_eq!(request.deadline.since(t.now), secs(20), "never more than twenty seconds");
}

#[test]
fn an_answer_to_an_old_wish_leads_to_the_new_one() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Available, 60)));
    let asked = t.next_request(secs(300));
    t.reload(plan().lane(1).user(1, wish(Away, 60)));
    assert!(t.requests.is_empty(), "one request at a time");
    t.answer(asked, Outcome::Granted);
    let next = t.next_request(secs(1));
    assert!(is_set(&next, 1, Away));
    assert!(t.requests.is_empty());
}

#[test]
fn a_renewal_that_is_about_to_lapse_goes_before_changes_and_changes_before_due_ones() {
    // One request a second, and answers that keep us waiting: the bucket holds one.
    let slow = Quota { requests: 30, per: secs(30) };
    let mut t = Bench::new();
    let at = |ago: u64| t.now - secs(ago);
    let record = |sent_at| Record { wish: wish(Available, 60), lease: Some(lease(Available, 60, sent_at)) };
    let sessions = vec![
        (Slot(0), user(1), record(at(290))),
        (Slot(1), user(2), record(at(200))),
        (Slot(2), user(3), record(at(10))),
    ];
    let head = presenced::keeper::LaneHead { name: "app1".into(), quota: slow };
    t.plan = plan().lane_with(1, slow).users(1..4, wish(Available, 60)).build();
    t.input(Input::Restore(vec![RestoredLane { key: key(1), head, sessions }]));
    let change = plan().lane_with(1, slow).users(1..3, wish(Available, 60)).user(3, wish(Away, 60));
    t.reload(change);
    let sent: Vec<_> = t.run(secs(8), |_| Outcome::Granted).into_iter().map(|(_, r)| r.user).collect();
    assert_eq!(sent, [user(1), user(3), user(2)], "ten seconds left; changed; due");
}

#[test]
fn one_request_in_twenty_is_a_clear_while_changes_wait() {
    let slow = Quota { requests: 60, per: secs(30) };
    let mut t = Bench::holding(plan().lane_with(1, slow).users(0..20, wish(Away, 240)));
    t.reload(plan().lane_with(1, slow).users(100..300, wish(Away, 240)));
    let sent = t.run(secs(100), |_| Outcome::Granted);
    let clears = sent.iter().filter(|(_, r)| r.call == Call::Clear).count();
    assert!((9..=11).contains(&clears), "{clears} clears of {}", sent.len());
}

#[test]
fn an_expiration_is_shortened_to_a_known_end_and_the_lease_not_renewed_before_it() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    let session = SessionIx::FIRST;
    let until = t.now + secs(1_800);
    t.input(Input::Override { session, over: Some(Over { wish: Some(wish(InACall, 240)), until }) });
    let request = t.next_request(secs(1));
    let Call::Set(sent) = request.call else { panic!("a set: {request:?}") };
    assert_eq!(
        sent.expiration,
        Expiration::from_minutes(31).unwrap(),
        "half an hour and a cold start, in minutes up"
    );
    t.answer(request, Outcome::Granted);
    t.now = until - secs(1);
    t.input(Input::Wake);
    assert!(t.requests.is_empty(), "it lasts to its end");
    t.now = until;
    t.input(Input::Override { session, over: None });
    let request = t.next_request(secs(1));
    assert!(is_set(&request, 1, Away));
}

#[test]
fn an_edge_that_no_one_acts_on_does_not_cost_the_session() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    let until = t.now + secs(600);
    t.input(Input::Override {
        session: SessionIx::FIRST,
        over: Some(Over { wish: Some(wish(InACall, 240)), until }),
    });
    let sent = t.run(secs(3_600), |_| Outcome::Granted);
    assert!((2..6).contains(&sent.len()), "renewed, and not all the time: {}", sent.len());
    assert_eq!(t.lapses(), 0);
}

#[test]
fn renew_all_renews_each_session_once() {
    let mut t = Bench::holding(plan().lane(1).users(0..100, wish(Away, 240)));
    t.now += secs(60);
    t.input(Input::RenewAll);
    let sent = t.run(secs(60), |_| Outcome::Granted);
    assert_eq!(sent.len(), 100);
    let mut users: Vec<_> = sent.iter().map(|(_, r)| r.user).collect();
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 100);
}

#[test]
fn what_renew_all_loses_is_sent_again_at_once() {
    let mut t = Bench::holding(plan().lane(1).users(0..100, wish(Away, 240)));
    t.now += secs(60);
    t.input(Input::RenewAll);
    let mut tries = 0;
    let sent = t.run(secs(60), |_| {
        tries += 1;
        let lost = Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None };
        if tries % 7 == 0 { lost } else { Outcome::Granted }
    });
    let renewed = |r: &presenced::keeper::id::UserId| sent.iter().filter(|(_, s)| s.user == *r).count();
    assert_eq!(sent.len(), 100 + tries / 7);
    assert!((0..100).all(|n| renewed(&user(n)) >= 1));
}

#[test]
fn renew_all_comes_to_everyone_however_often_it_is_asked_for() {
    let mut t = Bench::holding(plan().lane(1).users(0..4_000, wish(Away, 240)));
    t.run(secs(60), |_| Outcome::Granted);
    let mut renewed = std::collections::BTreeSet::new();
    for _ in 0..85 {
        t.input(Input::RenewAll);
        renewed.extend(t.run(secs(1), |_| Outcome::Granted).into_iter().map(|(_, r)| r.user));
    }
    assert_eq!(renewed.len(), 4_000);
}

#[test]
fn renew_all_takes_only_spare_quota() {
    let mut t = Bench::holding(plan().lane(1).users(0..13_000, wish(Available, 60)));
    t.input(Input::RenewAll);
    t.run(secs(1_200), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn what_is_not_funded_is_never_sent_and_the_rest_holds() {
    let mut t = Bench::holding(plan().lane(1).users(0..15_500, wish(Available, 60)));
    let sent = t.run(secs(3_600), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
    assert!(sent.iter().all(|(_, r)| r.user < user(14_065)), "the first by key are funded");
    let snapshot = t.keeper.snapshot(t.now);
    assert_eq!((snapshot.lanes[0].held, snapshot.lanes[0].unfunded), (14_065, 15_500 - 14_065));
}

#[test]
fn a_lane_that_grows_stretches_its_period_and_no_session_lapses() {
    let mut t = Bench::holding(plan().lane(1).users(0..7_000, wish(Available, 60)));
    t.run(secs(200), |_| Outcome::Granted);
    t.reload(plan().lane(1).users(0..13_500, wish(Available, 60)));
    t.run(secs(1_800), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 13_500);
    t.reload(plan().lane(1).users(0..5_000, wish(Available, 60)));
    t.run(secs(1_800), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn lanes_of_one_client_never_send_more_than_graph_takes_from_an_app() {
    let vast = Quota { requests: 1_000_000, per: secs(10) };
    let mut t = Bench::new();
    let mut of_one_client = plan();
    for _ in 0..3 {
        of_one_client = of_one_client.lane_with(7, vast).users(0..80_000, wish(Away, 240));
    }
    let mut lanes = of_one_client.build().into_lanes();
    // The same client in three tenants.
    assert_eq!(lanes.len(), 1);
    let lane = lanes.pop().unwrap();
    for tenant in 1..4 {
        let mut other = lane.clone();
        other.key.tenant = user(tenant);
        lanes.push(other);
    }
    let all = presenced::keeper::Plan::new(lanes);
    let change = presenced::keeper::diff(&t.plan, &all);
    t.input(Input::Plan { diff: Box::new(change), on_remove: t.on_remove });
    let sent = t.run(secs(25), |_| Outcome::Granted);
    let mut worst = 0;
    for (first, (from, _)) in sent.iter().enumerate().step_by(997) {
        let in_window = sent[first..].iter().take_while(|(at, _)| at.since(*from) < secs(10)).count();
        worst = worst.max(in_window);
    }
    assert!(worst <= 130_000, "{worst} in ten seconds");
    assert_eq!(sent.len(), 240_000, "and all of them in the end");
    let lanes: std::collections::BTreeSet<_> = sent[..60_000].iter().map(|(_, r)| r.session.lane).collect();
    assert_eq!(lanes.len(), 3, "shared by urgency: no lane waits for another to be done");
    assert!(!t.events.iter().any(|e| matches!(e, Event::Lapsed { .. })));
}

#[test]
fn renew_all_passes_by_what_has_nothing_to_renew_without_a_stop() {
    let mut p = plan().lane(1).users(0..5_000, wish(Away, 240));
    p = p.users(10_000..10_010, wish(Away, 240));
    let mut t = Bench::holding(p);
    t.reload(plan().lane(1).users(10_000..10_010, wish(Away, 240)));
    t.run(secs(400), |_| Outcome::Granted);
    t.input(Input::RenewAll);
    let sent = t.run(secs(60), |_| Outcome::Granted);
    assert_eq!(sent.len(), 10);
}

#[test]
fn a_lease_that_lapses_before_its_late_answer_is_counted_once() {
    for late in [160, 700] {
        let mut t = Bench::holding(plan().lane(1).user(1, wish(Available, 60)));
        let asked = t.next_request(secs(300));
        t.now += secs(late);
        t.answer(asked, Outcome::Granted);
        t.run(secs(60), |_| Outcome::Granted);
        assert_eq!(t.lapses(), 1, "{late} s");
        assert_eq!(t.events.iter().filter(|e| matches!(e, Event::Lapsed { .. })).count(), 1);
    }
}

#[test]
fn what_runs_out_while_it_is_not_wanted_is_no_lapse() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Available, 60)).user(2, wish(Away, 240)));
    let session = t.keeper.find(presenced::keeper::id::LaneIx(0), user(1)).unwrap();
    t.input(Input::Change { session, wish: None, until: MonoTime::FAR });
    let clear = t.next_request(secs(5));
    let lost = Outcome::Lost { loss: presenced::keeper::Loss::Timeout, retry_after: None };
    t.now += secs(20);
    t.answer(clear, lost);
    t.run(secs(400), |_| lost);
    t.input(Input::Change { session, wish: Some(wish(Available, 60)), until: MonoTime::FAR });
    t.run(secs(60), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 2);
}

#[test]
fn what_runs_out_while_the_quota_cannot_keep_it_is_no_lapse() {
    let quota = |requests| Quota { requests, per: secs(30) };
    let of = |requests| plan().lane_with(1, quota(requests)).users(0..400, wish(Available, 60));
    let mut t = Bench::holding(of(60));
    t.reload(of(30));
    t.run(secs(700), |_| Outcome::Granted);
    let before = t.lapses();
    t.reload(of(60));
    t.run(secs(300), |_| Outcome::Granted);
    assert_eq!(t.lapses(), before);
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 400);
}
