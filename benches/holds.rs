//! How many Available users one app holds at answers of 150 ms: presenced, and the loop that samples use, which walks
//! all users every 30 s, one request after the other, and renews what was set 4 minutes ago.
//!
//! Both in virtual time, for an hour, with the quota that Microsoft documents; an Available session fades after 300 s.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "not shipped"
)]

mod harness;

use std::time::Duration;

use harness::{LATENCY, Run};
use presenced::keeper::id::{Guid, LaneKey};
use presenced::keeper::{Expiration, LaneHead, LanePlan, Plan, PresenceState, Quota, SessionPlan, Wish};

const HOUR: Duration = Duration::from_secs(3_600);
const FADE: Duration = Duration::from_secs(300);
const WALK_EVERY: Duration = Duration::from_secs(30);
const RENEW_AFTER: Duration = Duration::from_secs(240);

fn main() {
    let walked = most(loop_holds);
    let kept = most(presenced_holds);
    println!("Available users of one app held for an hour, answers after {} ms:", LATENCY.as_millis());
    println!("  one request after the other, a walk each 30 s: {walked}");
    println!("  presenced:                                     {kept}");
    println!("  ratio {:.1}", kept as f64 / walked as f64);
}

/// The largest number that is held, to ten.
fn most(holds: fn(usize) -> bool) -> usize {
    let (mut held, mut too_many) = (0, 2_000);
    while too_many - held > 1 {
        let tens = usize::midpoint(held, too_many);
        if holds(tens * 10) {
            held = tens;
        } else {
            too_many = tens;
        }
    }
    held * 10
}

fn loop_holds(users: usize) -> bool {
    let mut set_at: Vec<Option<Duration>> = vec![None; users];
    let mut now = Duration::ZERO;
    while now < HOUR {
        let walk = now;
        for set in &mut set_at {
            match *set {
                Some(at) if now - at < RENEW_AFTER => continue,
                Some(at) if now - at >= FADE => return false,
                Some(_) | None => *set = Some(now),
            }
            now += LATENCY;
        }
        now = now.max(walk + WALK_EVERY);
    }
    true
}

/// Whether all are funded, and none lapses.
fn presenced_holds(users: usize) -> bool {
    let wish = Some(Wish { state: PresenceState::Available, expiration: Expiration::MAX });
    let session = |at: usize| SessionPlan::new(Guid::from_u128(at as u128), wish);
    let plan = Plan::new(vec![LanePlan {
        key: LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(1) },
        head: LaneHead { name: "bench".into(), quota: Quota::PRESENCE },
        sessions: (0..users).map(session).collect(),
    }]);
    if plan.lanes()[0].sessions.iter().any(|session| !session.funded) {
        return false;
    }
    let mut run = Run::new();
    run.take(&Plan::default(), &plan, || {});
    run.until(HOUR);
    run.lapses() == 0
}
