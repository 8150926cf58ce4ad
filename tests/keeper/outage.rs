//! 429s and outages.

use std::collections::BTreeMap;
use std::time::Duration;

use presenced::keeper::id::SessionIx;
use presenced::keeper::{Event, Loss, MonoTime, Outcome, Phase, PresenceState::*, Query, Quota, Request};

use crate::bench::{Bench, LATENCY, plan, secs, wish};

const LOST: Outcome = Outcome::Lost { loss: Loss::Server(503), retry_after: None };

/// The most requests in any five minutes.
fn most_in_five_minutes(sent: &[(MonoTime, Request)]) -> usize {
    (0..sent.len())
        .map(|first| sent[first..].iter().take_while(|(at, _)| at.since(sent[first].0) < secs(300)).count())
        .max()
        .unwrap_or(0)
}

#[test]
fn an_outage_costs_at_most_half_as_much_again_and_ten() {
    for users in [1, 40, 2_000] {
        for minutes in [1, 4, 10, 60] {
            let mut t = Bench::holding(plan().lane(1).users(0..users, wish(Available, 60)));
            let normal = users as f64 * 2.0;
            let sent = t.run(secs(minutes * 60), |_| LOST);
            let most = most_in_five_minutes(&sent);
            assert!(most as f64 <= 1.5 * normal + 10.0, "{most} requests, normal {normal}, {minutes} min");
            t.run(secs(120), |_| Outcome::Granted);
            let lane = &t.keeper.snapshot(t.now).lanes[0];
            assert_eq!((u128::from(lane.held), lane.lapsed), (users, 0), "{users} users, {minutes} min");
        }
    }
}

#[test]
fn a_minute_without_the_service_costs_no_lapse() {
    let mut t = Bench::holding(plan().lane(1).users(0..10_000, wish(Available, 60)));
    t.run(secs(60), |_| LOST);
    t.run(secs(900), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn after_an_outage_the_savable_come_first_and_then_the_longest_lapsed() {
    let mut t = Bench::holding(plan().lane(1).users(0..10_000, wish(Available, 60)));
    t.run(secs(200), |_| LOST);
    while !t.events.iter().any(|e| matches!(e, Event::LaneUp { .. })) {
        t.run(secs(1), |_| Outcome::Granted);
    }
    let lapsed = t.lapses();
    let savable = 10_000 - lapsed;
    assert!(lapsed > 1_000 && savable > 1_000, "{lapsed} lapsed");
    t.run(secs(5), |_| Outcome::Granted);
    let lapsed_views: BTreeMap<_, _> = t
        .keeper
        .sessions(Query { from: SessionIx::FIRST, limit: 20_000 })
        .sessions
        .into_iter()
        .filter(|s| s.phase == Phase::Lapsed)
        .map(|s| (s.user, s.lapses_at.unwrap()))
        .collect();
    let sent = t.run(secs(900), |_| Outcome::Granted);
    // Lapses come at 50 a second, as the sessions were set, and no more than 49.75 fit into a window: a few are lost.
    let more = t.lapses() - lapsed;
    assert!(more < savable / 10, "of {savable} that could be saved {more} were not");
    let order: Vec<_> =
        sent.iter().filter_map(|(_, r)| lapsed_views.get(&r.user)).take(lapsed_views.len()).collect();
    assert!(order.is_sorted(), "longest lapsed first");
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 10_000);
}

#[test]
fn a_lost_request_is_repeated_in_time() {
    let mut t = Bench::holding(plan().lane(1).users(0..2_000, wish(Available, 60)));
    let mut n = 0_u64;
    // Seven of a hundred are lost, here and there.
    let sent = t.run(secs(3_600), |_| {
        n += 1;
        if n * 2_654_435_761 % 100 < 7 { LOST } else { Outcome::Granted }
    });
    assert!(sent.len() > 48_000);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn what_is_lost_at_one_moment_counts_as_one_loss() {
    let mut t = Bench::holding(plan().lane(1).users(0..1_000, wish(Available, 60)));
    let is_down = |t: &Bench| t.events.iter().any(|event| matches!(event, Event::LaneDown { .. }));
    for batch in 1..=5 {
        let requests: Vec<Request> = (0..6).map(|_| t.next_request(secs(300))).collect();
        assert!(!is_down(&t), "before batch {batch}");
        for request in requests {
            t.answer(request, LOST);
        }
        t.requests.clear();
    }
    assert!(is_down(&t), "five in a row are an outage, whatever their size");
}

#[test]
fn a_429_stops_the_lane_for_as_long_as_it_asks() {
    for (retry_after, pause) in
        [(Some(secs(11)), 11), (Some(Duration::ZERO), 1), (None, 1), (Some(secs(4_000)), 120)]
    {
        let mut t = Bench::holding(plan().lane(1).users(0..1_000, wish(Available, 60)));
        let request = t.next_request(secs(300));
        t.requests.clear();
        t.answer(request, Outcome::Throttled { retry_after });
        let from = t.now;
        t.next_request(secs(200));
        let waited = t.now.since(from);
        assert!(waited >= secs(pause) && waited < secs(pause + 2), "{retry_after:?}: {waited:?}");
        assert!(t.events.iter().any(|e| matches!(e, Event::Throttled { foreign: true, .. })));
    }
}

#[test]
fn a_429_again_and_again_is_met_by_one_request_at_a_time() {
    for retry_after in [Some(Duration::ZERO), Some(Duration::from_millis(2_128)), Some(secs(7)), None] {
        let mut t = Bench::holding(plan().lane(1).users(0..1_000, wish(Available, 60)));
        t.run(secs(130), |_| Outcome::Granted);
        let throttled = t.run(secs(100), |_| Outcome::Throttled { retry_after });
        let (first, later): (Vec<&(MonoTime, Request)>, Vec<_>) =
            throttled.iter().partition(|(at, _)| at.since(throttled[0].0) < secs(10));
        assert!(first.len() <= 60, "{retry_after:?}: {} at first", first.len());
        assert!(later.len() <= 90, "{retry_after:?}: {} in 90 s", later.len());
        let together = later.windows(2).filter(|pair| pair[1].0.since(pair[0].0) < secs(1)).count();
        assert_eq!(together, 0, "{retry_after:?}: none before the last one was answered and its time over");
        t.run(secs(300), |_| Outcome::Granted);
        assert_eq!(t.lapses(), 0, "{retry_after:?}");
        // A single one does not count as again.
        let one = t.next_request(secs(300));
        t.requests.clear();
        t.answer(one, Outcome::Throttled { retry_after });
        let open = t.run(secs(150), |_| Outcome::Granted);
        assert!(open.len() >= 900, "{retry_after:?}: {}", open.len());
    }
}

#[test]
fn beyond_two_minutes_one_probe_a_minute_goes_out() {
    let mut t = Bench::holding(plan().lane(1).users(0..1_000, wish(Available, 60)));
    let request = t.next_request(secs(300));
    t.requests.clear();
    t.answer(request, Outcome::Throttled { retry_after: Some(secs(600)) });
    let until = t.now + secs(600);
    let from = t.now;
    let mut now = t.now;
    let mut sent = Vec::new();
    while now < until {
        let request = t.next_request(secs(130));
        now = t.now;
        sent.push(now.since(from).as_secs());
        t.now += LATENCY;
        let retry_after = Some(until.since(t.now));
        t.answer(request, Outcome::Throttled { retry_after });
    }
    assert_eq!(sent[..4], [120, 180, 240, 300]);
}

#[test]
fn someone_else_who_spends_the_quota_slows_the_lane_down_for_a_while() {
    let quota = Quota { requests: 1_500, per: secs(30) };
    let mut t = Bench::holding(plan().lane_with(1, quota).users(0..3_000, wish(Available, 60)));
    let mut n = 0;
    t.run(secs(600), |_| {
        n += 1;
        if n % 300 == 0 { Outcome::Throttled { retry_after: Some(secs(2)) } } else { Outcome::Granted }
    });
    let squeezed = t.keeper.snapshot(t.now).lanes[0].fraction;
    t.run(secs(1_200), |_| Outcome::Granted);
    let recovered = t.keeper.snapshot(t.now).lanes[0].fraction;
    assert!(squeezed >= recovered);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn a_short_outage_after_many_changes_costs_no_lapse() {
    let of = |state| plan().lane(1).users(0..100, wish(Available, 60)).users(1_000..6_000, wish(state, 240));
    let mut t = Bench::holding(of(Away));
    t.run(secs(600), |_| Outcome::Granted);
    t.reload(of(InACall));
    t.run(secs(100), |_| Outcome::Granted);
    t.run(secs(5), |_| LOST);
    t.run(secs(600), |_| Outcome::Granted);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn a_probe_that_is_refused_is_followed_a_minute_later_too() {
    for answer in [Outcome::Refused(presenced::keeper::Refusal::NotFound), Outcome::TokenRejected] {
        let mut t = Bench::holding(plan().lane(1).users(0..1_000, wish(Available, 60)));
        let request = t.next_request(secs(300));
        t.requests.clear();
        t.answer(request, Outcome::Throttled { retry_after: Some(secs(600)) });
        let probe = t.next_request(secs(130));
        t.answer(probe, answer);
        let from = t.now;
        t.next_request(secs(70));
        let gap = t.now.since(from);
        assert!(gap >= secs(59), "{answer:?}: another after {gap:?}");
    }
}

/// How far a session that was a probe in the outage falls behind those that lapsed after it.
#[test]
fn after_an_hour_away_a_failed_probe_is_not_behind_those_that_lapsed_after_it() {
    let mut t = Bench::holding(plan().lane(1).users(0..10_000, wish(Available, 60)));
    t.run(secs(3_600), |_| LOST);
    let all = t.keeper.sessions(Query { from: SessionIx::FIRST, limit: 20_000 }).sessions;
    let lapsed_at: BTreeMap<_, _> = all.into_iter().map(|s| (s.user, s.lapses_at.unwrap())).collect();
    let sent = t.run(secs(240), |_| Outcome::Granted);
    let mut turns: BTreeMap<_, MonoTime> = BTreeMap::new();
    for (at, request) in sent {
        turns.entry(request.user).or_insert(at);
    }
    let mut order: Vec<_> = turns.iter().map(|(user, at)| (lapsed_at[user], *at, *user)).collect();
    order.sort_unstable();
    let mut behind = Vec::new();
    for (n, (_, at, user)) in order.iter().enumerate() {
        let best = order[n..].iter().map(|(_, at, _)| *at).min().unwrap();
        if at.since(best) > secs(2) {
            behind.push((*user, at.since(best)));
        }
    }
    assert!(behind.is_empty(), "{} sessions were overtaken: {behind:?}", behind.len());
}
