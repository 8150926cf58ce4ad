//! Schedules through a change of the clocks: edges on time, and nobody else's session the worse for them.
//!
//! `MODEL_DAYS=7 cargo test --test model schedules` goes through the whole week.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use presenced::config::rota::{Named, Rota, Rotas, Shift, Standing, moment};
use presenced::config::schedule::{Days, Opens, TimeOfDay, Timetable, Window, zone};
use presenced::keeper::id::UserId;
use presenced::keeper::{
    Expiration, Input, LaneHead, LanePlan, MonoTime, Plan, PresenceState, Quota, SessionPlan, Wish,
};
use presenced::sandbox::service::Options;

use crate::lanes::lane;
use crate::world::{START, Wire, World, uuid};

/// Both hemispheres, an odd offset, and four that change their clocks at the end of the week.
const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "Europe/London",
    "Asia/Kathmandu",
    "America/New_York",
    "Australia/Sydney",
    "Africa/Cairo",
];
const USERS: usize = 10_000;

fn wish(state: PresenceState) -> Option<Wish> {
    Some(Wish { state, expiration: Expiration::covering(Duration::from_secs(3_600)) })
}

fn windows(hours: &[(&str, &str)]) -> Arc<Opens> {
    let days = Days::parse("Mon-Sun").unwrap();
    let window = |&(from, to): &(&str, &str)| {
        Window::new(days, TimeOfDay::parse(from).unwrap(), TimeOfDay::parse(to).unwrap()).unwrap()
    };
    Arc::new(Opens::Windows(hours.iter().map(window).collect()))
}

/// In each zone four shifts with a gap for lunch, one of them over midnight and over the hour in which clocks change; one
/// user in five keeps a session all the time, so that there is something to be hurt.
fn organisation() -> (Plan, Rotas) {
    let shifts = [
        windows(&[("08:00", "12:00"), ("12:45", "17:00")]),
        windows(&[("08:15", "12:15"), ("13:00", "17:30")]),
        windows(&[("14:00", "18:00"), ("18:30", "22:00")]),
        windows(&[("22:00", "02:30"), ("03:00", "06:00")]),
    ];
    let (mut timetables, mut rotas) = (Vec::new(), Vec::new());
    for name in ZONES {
        for (nth, opens) in (0..).zip(&shifts) {
            let timetable = Timetable::new(Arc::clone(opens), Arc::default(), zone(name).unwrap());
            let at = u32::try_from(timetables.len()).unwrap();
            timetables.push(Named { name: format!("shift {nth}").into(), timetable });
            let state = if nth == 2 { PresenceState::InACall } else { PresenceState::Available };
            let base = if nth % 2 == 0 { None } else { wish(PresenceState::Away) };
            rotas.push(Rota { base, shifts: vec![Shift { timetable: at, wish: wish(state) }] });
        }
    }
    let LanePlan { key, head, sessions } = lane(1, USERS, PresenceState::Available, Quota::PRESENCE);
    let follows = |n: usize| (!n.is_multiple_of(5)).then(|| u32::try_from(n / 5 % rotas.len()).unwrap());
    let users: Vec<UserId> = sessions.iter().map(|session| session.user).collect();
    let plan = |(n, user): (usize, &UserId)| {
        let wanted = follows(n).map_or(wish(PresenceState::Available), |rota| rotas[rota as usize].peak());
        SessionPlan::new(*user, wanted)
    };
    let sessions = users.iter().enumerate().map(plan).collect();
    let followers = users.iter().enumerate().filter_map(|(n, user)| Some((*user, follows(n)?))).collect();
    let head = LaneHead { quota: Quota::PRESENCE, ..head };
    let plan = Plan::new(vec![LanePlan { key: key.clone(), head, sessions }]);
    (plan, Rotas::new(timetables, rotas, BTreeMap::from([(key, followers)])))
}

/// Tells the keeper what is wanted of those whose rota says something else than before, as the driver does. Returns who
/// that is.
fn tell(
    world: &mut World,
    rotas: &Rotas,
    was: &[Standing],
    is: &[Standing],
    wall: Timestamp,
) -> BTreeSet<UserId> {
    let mut told = BTreeSet::new();
    for (key, followers) in rotas.followers() {
        for (user, rota) in followers {
            let standing = is[*rota as usize];
            if was.get(*rota as usize) == Some(&standing) {
                continue;
            }
            told.insert(*user);
            let session = world.keeper.find(world.keeper.lane(key).unwrap(), *user).unwrap();
            let until = standing.until.map_or(MonoTime::FAR, |until| moment(until, wall, world.now));
            world.input(Input::Change { session, wish: standing.wish, until });
        }
    }
    told
}

#[test]
fn ten_thousand_users_in_six_zones_are_as_wanted_soon_after_each_edge() {
    let days: u64 = std::env::var("MODEL_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(2);
    // Clocks change in Berlin, London and Cairo in this week, in Sydney just before; a short run goes over that night.
    let begin = if days < 7 { "2026-10-24T12:00:00Z" } else { "2026-10-19T00:00:00Z" };
    let from: Timestamp = begin.parse().unwrap();
    let end = from + Duration::from_secs(days * 24 * 3_600);
    let (plan, rotas) = organisation();
    let key = plan.lanes()[0].key.clone();
    let mut world = World::new(1, Options::default(), Wire { there_ms: (50, 100), back_ms: (50, 100) });
    let mut standings = rotas.standings(from);
    world.reload(rotas.show(&plan, &standings));
    tell(&mut world, &rotas, &[], &standings, from);
    let (began, mut edges, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    let mut changes: Vec<(f64, BTreeSet<UserId>)> = Vec::new();
    // A first quarter of an hour to set everyone.
    world.run_for(Duration::from_secs(600));
    while let Some(edge) = standings.iter().filter_map(|standing| standing.until).min().filter(|at| *at < end)
    {
        world.run_until(START + Duration::try_from(edge.duration_since(from)).unwrap());
        let next = rotas.standings(edge);
        world.plan = rotas.show(&plan, &next);
        let changed = tell(&mut world, &rotas, &standings, &next, edge);
        standings = next;
        edges += 1;
        // Sets go before renewals that can wait: what those with less than 20 s need is theirs.
        let allowed = Duration::from_secs(5) + Duration::from_secs_f64(changed.len() as f64 / 20.0);
        let soon = standings.iter().filter_map(|standing| standing.until).min();
        let soon = soon.map_or(allowed, |soon| Duration::try_from(soon.duration_since(edge)).unwrap());
        let told = world.now;
        while world.now.since(told) < allowed.min(soon) {
            world.run_for(Duration::from_secs(5));
            let lane = world.keeper.snapshot(world.now).lanes[0].clone();
            if lane.pending == 0 && lane.clearing == 0 {
                break;
            }
        }
        let took = world.now.since(told);
        assert!(took < allowed, "{} users, {edge}: not within {allowed:?}", changed.len());
        slowest = slowest.max(took);
        // Some of those who changed, and some of all, others at each edge.
        let sessions = &world.plan.lanes()[0].sessions;
        let others = sessions.iter().skip(edges * 7 % 97).step_by(97).map(|session| session.user);
        let looked_at: BTreeSet<UserId> = changed.iter().copied().step_by(7).chain(others).collect();
        let shown = world.sessions_at_service(&key, &looked_at);
        for session in sessions.iter().filter(|session| looked_at.contains(&session.user)) {
            let wanted = session.wish.map(|wish| wish.state);
            let seen = shown.get(&session.user).copied().flatten();
            assert_eq!(seen, wanted, "{} after {edge}", session.user);
        }
        changes.push((told.since(START).as_secs_f64(), changed));
    }
    world.run_until(START + Duration::try_from(end.duration_since(from)).unwrap());
    let report = world.service.report(world.now);
    println!(
        "10,000 users of 24 schedules in 6 zones x {days} days: {edges} edges, the slowest done after {slowest:?}, \
         {} renewals in {:.1} s",
        world.renewals,
        began.elapsed().as_secs_f64()
    );
    assert_eq!((report.throttled, report.invalid_requests), (0, 0));
    // What fades while its change waits for its turn is not wanted any more. Nobody else's may.
    for gap in &report.gaps {
        let own = |(edge, who): &&(f64, BTreeSet<UserId>)| {
            (*edge..edge + slowest.as_secs_f64()).contains(&gap.from_s)
                && who.iter().any(|user| uuid(*user) == gap.user)
        };
        assert!(changes.iter().rev().any(|change| own(&change)), "{gap:?} at no edge of its own");
    }
    println!("sessions that faded after their edge, before their change had its turn: {}", report.lapses);
    assert!(edges >= 20 * usize::try_from(days).unwrap(), "{edges}");
}
