//! What others want to know of sessions and overrides.

use std::sync::Arc;
use std::time::SystemTime;

use super::Driver;
use crate::daemon::overrides::{Override, Release, Rule, Source, Whom};
use crate::daemon::story::{Instead, LastAnswer, Moment};
use crate::keeper::{MonoTime, SessionView};

/// So many late sessions of a lane are noted at a time.
const LATE: usize = 1_000;

/// All that is known of a session.
#[derive(Clone, Debug)]
pub struct Looked {
    /// Whose.
    pub whom: Whom,
    /// The moment of the look.
    pub at: MonoTime,
    /// The same in wall time.
    pub wall: SystemTime,
    /// How it stands; `None`: there is none.
    pub view: Option<SessionView>,
    /// The source of the override that holds.
    pub holds: Option<Source>,
    /// All overrides of its user.
    pub overrides: Vec<(Source, Override)>,
    /// Why nothing is held.
    pub release: Option<Release>,
    /// What it showed lately.
    pub story: Vec<Moment>,
    /// The last answer on it.
    pub last: Option<LastAnswer>,
}

/// Some overrides and releases.
#[derive(Clone, Debug, Default)]
pub struct OverridesPage {
    /// Overrides, in the order of users and sources, and whether each is the one that holds.
    pub overrides: Vec<(Whom, Source, Override, bool)>,
    /// How many there are in all.
    pub of: usize,
    /// Those who are released, as many.
    pub released: Vec<(Whom, Release)>,
    /// The release of everyone.
    pub all_released: Option<Release>,
}

impl Driver {
    /// Looks at a session.
    pub(super) fn look(&self, whom: Whom) -> Looked {
        let overrides = &self.steering.overrides;
        let (holds, release) = match overrides.rule(&whom) {
            Some(Rule::Override(source, _)) => (Some(source.clone()), None),
            Some(Rule::Released(release)) => (None, Some(release.clone())),
            None => (None, None),
        };
        let session = self.session_of(&whom);
        Looked {
            at: self.clock.now(),
            wall: self.clock.wall(),
            view: session.and_then(|session| self.keeper.session(session)),
            holds,
            overrides: overrides.of(&whom).map(|(source, over)| (source.clone(), over.clone())).collect(),
            release,
            story: session.map(|session| self.story.of(session, whom.user).collect()).unwrap_or_default(),
            last: session.and_then(|session| self.story.last_answer(session, whom.user).cloned()),
            whom,
        }
    }

    /// The sessions that stand worst.
    pub(super) fn look_at_worst(&self, limit: usize, app: Option<&str>) -> Vec<Looked> {
        let apps = &self.accepted.settings.apps;
        let lane = app.map(|name| {
            let app = apps.iter().find(|app| &*app.name == name);
            app.and_then(|app| self.keeper.lane(&app.lane()))
        });
        // An app that is not in force yet has no sessions.
        let worst = if lane == Some(None) { Vec::new() } else { self.keeper.worst(limit, lane.flatten()) };
        worst
            .into_iter()
            .filter_map(|session| Some(self.look(self.whom(session.session.lane, session.user)?)))
            .collect()
    }

    /// The first overrides and releases.
    pub(super) fn look_at_overrides(&self, limit: usize) -> OverridesPage {
        let overrides = &self.steering.overrides;
        let owned = |(whom, source, over): (&Whom, &Source, &Override)| {
            let holds = overrides.rule(whom) == Some(Rule::Override(source, over));
            (whom.clone(), source.clone(), over.clone(), holds)
        };
        let released = overrides.released().take(limit);
        OverridesPage {
            overrides: overrides.iter().take(limit).map(owned).collect(),
            of: overrides.len(),
            released: released.map(|(whom, release)| (whom.clone(), release.clone())).collect(),
            all_released: overrides.all_released().cloned(),
        }
    }

    /// Why a session is set, where an override or a schedule wants it.
    pub(super) fn because(&self, whom: &Whom) -> Option<Arc<str>> {
        match self.steering.overrides.rule(whom) {
            Some(Rule::Override(source, _)) => Some(format!("override:{source}").into()),
            Some(Rule::Released(_)) => None,
            None => self.schedule_of(whom).map(|name| format!("schedule:{name}").into()),
        }
    }

    /// What holds for a session instead of the config.
    pub(super) fn instead(&self, whom: &Whom) -> Option<Instead> {
        self.steering.overrides.rule(whom).map(|rule| match rule {
            Rule::Override(..) => Instead::Override,
            Rule::Released(_) => Instead::Release,
        })
    }

    /// Notes which sessions are late, for what is told of them later.
    pub(super) fn note_late(&mut self, now: MonoTime) {
        for view in self.keeper.late(now, LATE) {
            if let Some(state) = view.granted {
                self.story.late((view.session, view.user), state, view.overridden, now);
            }
        }
    }
}
