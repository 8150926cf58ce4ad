//! Lanes do not know of each other.

use std::time::Duration;

use presenced::keeper::id::{Guid, LaneKey};
use presenced::keeper::{Expiration, LaneHead, LanePlan, Plan, PresenceState, Quota, SessionPlan, Wish};
use presenced::sandbox::service::Options;
use serde_json::{Value, json};

use crate::world::{Wire, World, uuid};

const WIRE: Wire = Wire { there_ms: (20, 21), back_ms: (100, 101) };

pub fn lane(tenant: u128, sessions: usize, state: PresenceState, quota: Quota) -> LanePlan {
    let wish = Some(Wish { state, expiration: Expiration::MAX });
    LanePlan {
        key: LaneKey {
            graph: "g".into(),
            tenant: Guid::from_u128(tenant),
            client: Guid::from_u128(tenant + 1_000),
        },
        head: LaneHead { name: format!("app{tenant}").into(), quota },
        sessions: (0..sessions)
            .map(|n| SessionPlan::new(Guid::from_u128(tenant * 1_000_000 + n as u128), wish))
            .collect(),
    }
}

/// What the healthy lanes 2 and 3 send while lane 1 has this trouble, and their lapses.
fn others(trouble: Option<Value>) -> (String, u64) {
    let mut world = World::new(1, Options::default(), WIRE);
    world.checks.keep_sent = true;
    let lanes: Vec<LanePlan> =
        (1..4).map(|tenant| lane(tenant, 400, PresenceState::Available, Quota::PRESENCE)).collect();
    let keys: Vec<LaneKey> = lanes.iter().map(|lane| lane.key.clone()).collect();
    world.reload(Plan::new(lanes));
    world.run_for(Duration::from_secs(300));
    if let Some(trouble) = trouble {
        world
            .service
            .patch_faults(world.now, json!({"tenants": {uuid(keys[0].tenant).to_string(): trouble}}))
            .unwrap();
    }
    world.run_for(Duration::from_secs(1_800));
    let sent = keys[1..].iter().map(|key| format!("{:?}", world.checks.sent_by_lane[key])).collect();
    let report = world.service.report(world.now);
    (sent, report.lapses - report.lapses_in_outage)
}

#[test]
fn a_lane_in_trouble_moves_no_request_of_another() {
    let (calm, lapses) = others(None);
    assert_eq!(lapses, 0);
    assert!(calm.len() > 10_000);
    let troubles = [
        json!({"hang": true}),
        json!({"status": 429, "retry_after": "30"}),
        json!({"status": 503}),
        json!({"status": 401}),
        json!({"status": 403}),
    ];
    for trouble in troubles {
        let (sent, lapses) = others(Some(trouble.clone()));
        assert_eq!(lapses, 0, "{trouble}");
        assert!(sent == calm, "the others were moved by {trouble}");
    }
}

#[test]
fn an_outage_costs_at_most_half_as_much_again_and_ten() {
    for (sessions, minutes) in [(1, 60), (40, 60), (5_000, 10)] {
        for outage in [json!({"status": 503}), json!({"hang": true}), json!({"reset": true})] {
            let mut world = World::new(1, Options::default(), WIRE);
            let plan = Plan::new(vec![lane(1, sessions, PresenceState::Available, Quota::PRESENCE)]);
            world.reload(plan);
            // Whole periods, so that a window of five minutes holds two renewals of each session.
            world.run_for(Duration::from_secs(901));
            let normal = 2.0 * sessions as f64;
            world.service.patch_faults(world.now, json!({"outage": outage})).unwrap();
            world.run_for(Duration::from_secs(minutes * 60));
            let peak = world.service.report(world.now).lanes[0].peak_five_minutes;
            assert!(peak as f64 <= 1.5 * normal + 10.0, "{peak} requests, normal {normal}, {outage}");
            world.service.patch_faults(world.now, json!({"outage": null})).unwrap();
            world.run_for(Duration::from_secs(600));
            assert_eq!(world.keeper.snapshot(world.now).lanes[0].held as usize, sessions);
        }
    }
}
