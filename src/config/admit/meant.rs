//! What no one meant: schedules that never open, are hidden by others whenever they do, or never lead to a state.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::says::Courses;
use super::schedules::ScheduleIx;
use crate::config::problem::{Code, Problem, shown};
use crate::config::rota::Rota;
use crate::config::schedule::Now;

/// Rotas that are looked at. What nobody meant seldom stands alone.
const ROTAS_MAX: usize = 500;
/// Edges of one rota that are looked at: some weeks of busy days, years of quiet ones.
const EDGES_MAX: usize = 300;

/// Some day to begin with: all schedules recur.
pub(super) const ANY_DAY: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Says which schedules nobody can have meant as they are. No clock is read, so that the same config has the same
/// verdict every day: `from` is where to begin.
pub(super) fn check(courses: &Courses<'_>, from: Timestamp, problems: &mut Vec<Problem>) {
    let users = courses.users();
    let never = never_open(courses, from, problems);
    let (mut hidden, mut shown) = (BTreeMap::<ScheduleIx, usize>::new(), BTreeSet::new());
    let mut stateless = BTreeMap::<ScheduleIx, usize>::new();
    for (rota, users) in courses.rotas().iter().zip(users).take(ROTAS_MAX) {
        let holds = holding(rota, courses, from);
        for (shift, holds) in rota.shifts.iter().zip(holds) {
            let schedule = courses.schedule(shift.timetable);
            match holds {
                Some(true) => _ = shown.insert(schedule),
                Some(false) => *hidden.entry(schedule).or_default() += users,
                None => {}
            }
        }
        let wants = |shift: &&crate::config::rota::Shift| {
            shift.wish.is_some() && !never.contains(&courses.schedule(shift.timetable))
        };
        if let (None, None, Some(first)) = (rota.base, rota.shifts.iter().find(wants), rota.shifts.first()) {
            *stateless.entry(courses.schedule(first.timetable)).or_default() += users;
        }
    }
    for (schedule, users) in hidden.into_iter().filter(|(schedule, _)| !shown.contains(schedule)) {
        let message = format!(
            "schedule {} never holds for {}: others hide it whenever it is open",
            named(courses, schedule),
            counted(users)
        );
        let problem = Problem::new(Code::Shadowed, courses.schedules().get(schedule).at, message);
        problems
            .push(problem.help("give it a higher `priority`; of equals the one that is named first holds"));
    }
    for (schedule, users) in stateless {
        let message =
            format!("{} of schedule {} never get a state", counted(users), named(courses, schedule));
        let problem = Problem::new(Code::NeverShown, courses.schedules().get(schedule).at, message);
        problems.push(problem.help("outside of it their availability is \"none\", and within it, too"));
    }
}

/// Those that never open in any zone in which they are followed.
fn never_open(courses: &Courses<'_>, from: Timestamp, problems: &mut Vec<Problem>) -> BTreeSet<ScheduleIx> {
    let (mut never, mut open) = (BTreeSet::new(), BTreeSet::new());
    for (named, schedule) in courses.timetables() {
        let now = named.timetable.at(from);
        if now.open || now.until.is_some() {
            open.insert(*schedule)
        } else {
            never.insert(*schedule)
        };
    }
    never.retain(|schedule| !open.contains(schedule));
    for schedule in &never {
        let message = format!("schedule {} never opens", named(courses, *schedule));
        let problem = Problem::new(Code::NeverOpens, courses.schedules().get(*schedule).at, message);
        problems.push(problem.help("there is no such day, or all of them are exceptions"));
    }
    never
}

/// Of each shift whether it holds when it is open; `None`: it did not open as far as was looked.
fn holding(rota: &Rota, courses: &Courses<'_>, from: Timestamp) -> Vec<Option<bool>> {
    let ask = |timetable: u32, at| courses.named(timetable).timetable.at(at);
    let mut now: Vec<Now> = rota.shifts.iter().map(|shift| ask(shift.timetable, from)).collect();
    let mut holds: Vec<Option<bool>> = vec![None; now.len()];
    for _ in 0..EDGES_MAX {
        let first = now.iter().position(|now| now.open);
        for (at, holds) in holds.iter_mut().enumerate().filter(|(at, _)| now[*at].open) {
            *holds = Some(*holds == Some(true) || first == Some(at));
        }
        let Some(edge) = now.iter().filter_map(|now| now.until).min() else { break };
        for (now, shift) in now.iter_mut().zip(&rota.shifts) {
            if now.until == Some(edge) {
                *now = ask(shift.timetable, edge);
            }
        }
    }
    holds
}

fn named(courses: &Courses<'_>, schedule: ScheduleIx) -> String {
    shown(&courses.schedules().get(schedule).name)
}

fn counted(users: usize) -> String {
    if users == 1 { "one user".to_owned() } else { format!("{users} users") }
}
