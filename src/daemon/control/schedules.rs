//! What schedules and groups have to do with a session, as a pure function of the config in force and the time.

use jiff::Timestamp;

use super::people::Names;
use super::status::shown;
use crate::config::rota::{Named, timestamp};
use crate::daemon::driver::Looked;
use crate::keeper::Wish;

/// What a user's schedules say at the moment of a look.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) struct Scheduled<'n> {
    /// The schedule that holds; `None`: none is open.
    pub(in crate::daemon) by: Option<&'n Named>,
    /// When something else will be wanted; `None`: never, as far as one can see.
    pub(in crate::daemon) until: Option<Timestamp>,
    /// What that is, and by which schedule.
    then: Option<Wish>,
    then_by: Option<&'n Named>,
}

/// What the schedules of a session's user say; `None`: the user follows none.
pub(in crate::daemon) fn of<'n>(looked: &Looked, names: &'n Names) -> Option<Scheduled<'n>> {
    let rotas = names.rotas();
    let rota = rotas.of(&looked.whom.lane, looked.whom.user)?;
    let now = rotas.standing(rota, timestamp(looked.wall))?;
    let next = now.until.and_then(|until| rotas.standing(rota, until));
    let named = |by: Option<u32>| rotas.timetable(by?);
    Some(Scheduled {
        by: named(now.by),
        until: now.until,
        then: next.and_then(|next| next.wish),
        then_by: next.and_then(|next| named(next.by)),
    })
}

impl Scheduled<'_> {
    /// What will be wanted at the next change.
    pub(super) fn then(&self) -> Option<String> {
        self.until.map(|_| shown(self.then.map(|wish| wish.state)))
    }

    /// The same as sentences.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = vec![match self.by {
            Some(named) => format!("Schedule `{}` is open ({}).", named.name, named.timetable),
            None => "None of the user's schedules is open.".to_owned(),
        }];
        if let (Some(until), Some(then)) = (self.until, self.then()) {
            let by = self.then_by.map(|named| format!(", by schedule `{}`", named.name)).unwrap_or_default();
            sentences.push(format!(
                "From {} on the config wants {then}{by}.",
                until.strftime("%Y-%m-%dT%H:%M:%SZ")
            ));
        }
        sentences
    }
}
