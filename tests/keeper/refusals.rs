//! Users and tokens that Graph will not have.

use presenced::keeper::event::Trouble;
use presenced::keeper::{
    Event, Input, Loss, MonoTime, Outcome, Over, PresenceState::*, Refusal, Request, TokenAnswer,
    TokenFailure, id::Generation,
};

use crate::bench::{Bench, HOUR, plan, secs, user, wish};

fn parked(t: &Bench) -> Vec<(presenced::keeper::id::UserId, Refusal)> {
    t.events
        .iter()
        .filter_map(
            |e| if let Event::Parked { user, refusal, .. } = e { Some((*user, *refusal)) } else { None },
        )
        .collect()
}

#[test]
fn a_refused_user_is_tried_less_and_less_and_the_others_go_on() {
    let mut t = Bench::holding(plan().lane(1).users(0..40, wish(Available, 60)));
    let answer = |r: &Request| {
        if r.user == user(7) { Outcome::Refused(Refusal::NotFound) } else { Outcome::Granted }
    };
    let start = t.now;
    let sent = t.run(5 * HOUR, answer);
    let tries: Vec<u64> =
        sent.iter().filter(|(_, r)| r.user == user(7)).map(|(at, _)| at.since(start).as_secs()).collect();
    let gaps: Vec<u64> = tries.windows(2).map(|w| w[1] - w[0]).collect();
    assert_eq!(gaps[..5], [300, 600, 1_200, 2_400, 3_600]);
    assert!(parked(&t).iter().all(|p| *p == (user(7), Refusal::NotFound)));
    let lane = &t.keeper.snapshot(t.now).lanes[0];
    assert_eq!((lane.held, lane.parked, lane.lapses), (39, 1, 0), "a parked session is not a lapse");
    t.input(Input::Unpark);
    assert_eq!(t.next_request(secs(1)).user, user(7), "at once after a reload");
}

#[test]
fn one_user_rejected_for_ever_is_parked_without_a_storm_of_tokens() {
    let mut t = Bench::holding(plan().lane(1).users(0..40, wish(Available, 60)));
    let before = t.fetches;
    let answer = |r: &Request| if r.user == user(7) { Outcome::TokenRejected } else { Outcome::Granted };
    t.run(HOUR, answer);
    assert!(parked(&t).iter().all(|p| *p == (user(7), Refusal::Unauthorized)));
    assert!(!parked(&t).is_empty());
    assert!(t.fetches - before <= 6, "{} fetches in an hour", t.fetches - before);
    assert_eq!(t.lapses(), 0);
}

#[test]
fn a_user_rejected_for_ever_in_a_quiet_lane_is_parked_by_the_word_of_another() {
    for others in [1, 2, 29, 5_000] {
        let everyone = |state| plan().lane(1).users(1..1 + others, wish(Away, 240)).user(0, wish(state, 240));
        let mut t = Bench::holding(everyone(Away));
        t.run(secs(30), |_| Outcome::Granted);
        let before = t.fetches;
        t.reload(everyone(InACall));
        let answer = |r: &Request| if r.user == user(0) { Outcome::TokenRejected } else { Outcome::Granted };
        let sent = t.run(secs(60), answer);
        assert_eq!(parked(&t), [(user(0), Refusal::Unauthorized)], "{others} others");
        assert!(!t.events.iter().any(|e| matches!(e, Event::LaneDown { .. })), "{:?}", t.events);
        assert_eq!(t.fetches - before, 1);
        assert_eq!(sent.iter().filter(|(_, r)| r.user != user(0)).count(), 1, "one witness is enough");
        assert!(sent.len() <= 4, "{} requests", sent.len());
    }
}

#[test]
fn a_witness_whose_answer_is_lost_is_followed_by_another() {
    let everyone = |state| plan().lane(1).users(1..30, wish(Away, 240)).user(0, wish(state, 240));
    let mut t = Bench::holding(everyone(Away));
    t.reload(everyone(InACall));
    let mut lost = 0;
    t.run(secs(60), |r| {
        if r.user == user(0) {
            return Outcome::TokenRejected;
        }
        lost += 1;
        if lost == 1 { Outcome::Lost { loss: Loss::Timeout, retry_after: None } } else { Outcome::Granted }
    });
    assert_eq!(parked(&t), [(user(0), Refusal::Unauthorized)]);
}

#[test]
fn many_requests_under_way_on_a_revoked_token_are_not_an_outage_of_the_app() {
    let mut t = Bench::holding(plan().lane(1).users(0..100, wish(Away, 240)));
    t.reload(plan().lane(1).users(0..100, wish(InACall, 240)));
    let asked: Vec<Request> = (0..40).map(|_| t.next_request(secs(1))).collect();
    let fresh = t.token.take().unwrap();
    for request in asked {
        t.answer(request, Outcome::TokenRejected);
    }
    t.input(Input::Token { lane: presenced::keeper::id::LaneIx(0), answer: fresh });
    t.run(secs(60), |_| Outcome::Granted);
    assert!(!t.events.iter().any(|e| matches!(e, Event::LaneDown { .. })), "{:?}", t.events);
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 100);
}

#[test]
fn a_revoked_token_costs_one_fetch_and_no_session() {
    let mut t = Bench::holding(plan().lane(1).users(0..10_000, wish(Available, 60)));
    let before = t.fetches;
    let sent = t.run(secs(900), |r| {
        if r.generation == Generation(1) { Outcome::TokenRejected } else { Outcome::Granted }
    });
    assert_eq!(t.fetches - before, 1);
    assert_eq!(t.lapses(), 0);
    assert!(parked(&t).is_empty());
    let wasted = sent.iter().filter(|(_, r)| r.generation == Generation(1)).count();
    assert!(wasted <= 60, "{wasted} requests on a token that was known to be bad");
}

#[test]
fn a_service_that_rejects_every_token_gets_few_requests_and_few_fetches() {
    for users in [1, 3, 1_000] {
        let mut t = Bench::holding(plan().lane(1).users(0..users, wish(Available, 60)));
        let before = t.fetches;
        let sent = t.run(HOUR, |_| Outcome::TokenRejected);
        assert!(
            t.events.iter().any(|e| matches!(e, Event::LaneDown { trouble: Trouble::TokenRejected, .. })),
            "{users}"
        );
        assert!(t.fetches - before <= 60, "{} fetches in an hour for {users}", t.fetches - before);
        assert!(sent.len() <= 400, "{} requests in an hour for {users}", sent.len());
        let healed = t.run(secs(1_000), |_| Outcome::Granted);
        assert!(!healed.is_empty());
        let lane = &t.keeper.snapshot(t.now).lanes[0];
        assert_eq!(u128::from(lane.held), users, "it heals by itself");
        assert!(t.events.iter().any(|e| matches!(e, Event::LaneUp { .. })));
    }
}

#[test]
fn five_users_refused_and_none_granted_park_the_lane() {
    let mut t = Bench::new();
    t.reload(plan().lane(1).users(0..500, wish(Available, 60)));
    let before = t.fetches;
    let sent = t.run(HOUR, |_| Outcome::Refused(Refusal::Forbidden));
    assert!(sent.len() < 30, "{} requests in an hour for a lane that has no right", sent.len());
    assert!(t.fetches > before + 3, "consent shows in new tokens only");
    let down = Event::LaneDown {
        lane: presenced::keeper::id::LaneIx(0),
        trouble: Trouble::Refused(Refusal::Forbidden),
        sessions: 500,
        first_lapse_in: None,
    };
    assert!(t.events.contains(&down), "{:?}", t.events);
    t.input(Input::Unpark);
    t.run(secs(60), |_| Outcome::Granted);
    assert_eq!(t.keeper.snapshot(t.now).lanes[0].held, 500);
}

#[test]
fn when_the_last_of_all_users_is_parked_the_lane_is_down_until_one_is_granted() {
    let everyone = || plan().lane(1).users(0..40, wish(Available, 60));
    let mut t = Bench::holding(everyone());
    t.run(secs(600), |_| Outcome::Refused(Refusal::NotFound));
    assert_eq!(parked(&t).iter().filter(|(of, _)| *of == user(7)).count(), 2, "each by itself");
    let refused = Trouble::Refused(Refusal::NotFound);
    let downs = |t: &Bench| {
        t.events
            .iter()
            .filter(|e| matches!(e, Event::LaneDown { trouble, .. } if *trouble == refused))
            .count()
    };
    assert_eq!(downs(&t), 1, "{:?}", t.events);
    t.input(Input::Unpark);
    t.run(secs(60), |_| Outcome::Granted);
    assert!(t.events.iter().any(|e| matches!(e, Event::LaneUp { .. })));
    t.run(
        2 * HOUR,
        |r| if r.user == user(7) { Outcome::Granted } else { Outcome::Refused(Refusal::NotFound) },
    );
    assert_eq!(downs(&t), 1, "one that is left is enough");
}

#[test]
fn deleted_users_at_the_head_of_a_lane_do_not_take_the_others_with_them() {
    let mut t = Bench::holding(plan().lane(1).users(100..200, wish(Available, 60)));
    t.token = Some(TokenAnswer::Granted { lifetime: secs(600), refresh_in: None });
    t.reload(plan().lane(1).users(0..20, wish(Available, 60)).users(100..200, wish(Available, 60)));
    let gone =
        |r: &Request| if r.user < user(20) { Outcome::Refused(Refusal::NotFound) } else { Outcome::Granted };
    t.run(2 * HOUR, gone);
    let lane = &t.keeper.snapshot(t.now).lanes[0];
    assert_eq!((lane.held, lane.parked, lane.lapses), (100, 20, 0));
}

#[test]
fn without_a_token_nothing_is_sent_and_it_is_asked_for_with_back_off() {
    let mut t = Bench::new();
    let failed = TokenAnswer::Failed { failure: TokenFailure::Rejected, retry_after: None };
    t.token = Some(failed);
    t.reload(plan().lane(1).users(0..5, wish(Available, 60)));
    let sent = t.run(HOUR, |_| Outcome::Granted);
    assert!(sent.is_empty());
    assert!((10..=14).contains(&t.fetches), "2, 4, 8 ... 900 s apart: {}", t.fetches);
    t.token = Some(TokenAnswer::Granted { lifetime: HOUR, refresh_in: None });
    t.input(Input::CredentialChanged { lane: presenced::keeper::id::LaneIx(0) });
    assert_eq!(t.run(secs(5), |_| Outcome::Granted).len(), 5, "at once with the new credential");
}

#[test]
fn a_token_endpoint_that_is_down_for_longer_than_a_token_lives_costs_what_cannot_be_saved() {
    let mut t = Bench::new();
    t.token = Some(TokenAnswer::Granted { lifetime: secs(600), refresh_in: None });
    t.reload(plan().lane(1).users(0..50, wish(Available, 60)).users(100..150, wish(Away, 240)));
    t.run(secs(280), |_| Outcome::Granted);
    t.token = Some(TokenAnswer::Failed { failure: TokenFailure::Unreachable, retry_after: None });
    let down_at = t.now;
    let sent = t.run(secs(2_000), |_| Outcome::Granted);
    let last = sent.last().unwrap().0;
    // Renewals come every 150 s.
    assert!(last.since(down_at) > secs(150), "the old token serves to its end: {last:?}");
    assert!(last.since(down_at) < secs(320), "and no longer");
    assert!(t.events.iter().any(|e| matches!(e, Event::LaneDown { trouble: Trouble::NoToken, .. })));
    let lane = &t.keeper.snapshot(t.now).lanes[0];
    assert_eq!((lane.lapsed, lane.lapses), (50, 50), "those that fade; those of four hours hold");
    t.token = Some(TokenAnswer::Granted { lifetime: secs(600), refresh_in: None });
    t.run(secs(125), |_| Outcome::Granted);
    let lane = &t.keeper.snapshot(t.now).lanes[0];
    assert_eq!((lane.held, lane.lapses), (100, 50), "two minutes after it is back at the latest");
}

#[test]
fn a_token_endpoint_that_hangs_is_asked_once() {
    let mut t = Bench::new();
    t.token = None;
    t.reload(plan().lane(1).users(0..5, wish(Available, 60)));
    t.run(secs(600), |_| Outcome::Granted);
    assert_eq!(t.fetches, 1, "one at a time");
}

#[test]
fn a_token_that_wants_to_be_replaced_at_once_is_not_fetched_all_the_time() {
    for (lifetime, refresh_in) in [(HOUR, Some(secs(0))), (secs(0), None), (secs(5), None)] {
        let mut t = Bench::new();
        t.token = None;
        t.reload(plan().lane(1).user(1, wish(Away, 240)));
        let end = t.now + secs(60);
        while t.now < end {
            let asked = t.fetches;
            t.now += step();
            t.input(Input::Token {
                lane: presenced::keeper::id::LaneIx(0),
                answer: TokenAnswer::Granted { lifetime, refresh_in },
            });
            let give_up = t.now + secs(60);
            while t.fetches == asked && t.now < give_up {
                t.now += step();
                t.input(Input::Wake);
            }
        }
        assert!(t.fetches <= 8, "{} fetches in a minute: {lifetime:?}, {refresh_in:?}", t.fetches);
    }
}

fn step() -> std::time::Duration {
    std::time::Duration::from_millis(100)
}

#[test]
fn a_doubled_change_does_not_wake_a_parked_user() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)).user(2, wish(Away, 240)));
    let session = t.keeper.find(presenced::keeper::id::LaneIx(0), user(1)).unwrap();
    let change = || Input::Override {
        session,
        over: Some(Over { wish: Some(wish(InACall, 60)), until: MonoTime::FAR }),
    };
    t.input(change());
    let sent = t.run(secs(60), |_| Outcome::Refused(Refusal::NotFound));
    assert_eq!(sent.len(), 1);
    for _ in 0..4 {
        t.input(change());
        assert!(t.run(secs(30), |_| Outcome::Refused(Refusal::NotFound)).is_empty());
    }
}

#[test]
fn a_changed_credential_is_tried_at_once_though_the_token_is_good() {
    let mut t = Bench::holding(plan().lane(1).user(1, wish(Away, 240)));
    let before = t.fetches;
    t.input(Input::CredentialChanged { lane: presenced::keeper::id::LaneIx(0) });
    assert_eq!(t.fetches - before, 1);
}

#[test]
fn a_lane_that_is_parked_after_many_changes_is_tried_at_once_when_told_to() {
    let mut t = Bench::holding(plan().lane(1).users(0..5_000, wish(Away, 240)));
    t.reload(plan().lane(1).users(0..5_000, wish(InACall, 240)));
    t.run(secs(90), |_| Outcome::Granted);
    let lane = presenced::keeper::id::LaneIx(0);
    t.input(Input::CredentialChanged { lane });
    t.run(secs(2), |_| Outcome::Refused(Refusal::Forbidden));
    assert!(t.events.iter().any(|e| matches!(e, Event::LaneDown { .. })));
    t.input(Input::CredentialChanged { lane });
    t.next_request(secs(1));
}
