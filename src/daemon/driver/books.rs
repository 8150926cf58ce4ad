//! What the driver has kept: overrides, and who changed what.

use tokio::sync::oneshot;

use super::Driver;
use crate::daemon::audit::{Action, Record};
use crate::daemon::overrides::Whom;
use crate::daemon::overrides::line::Line;
use crate::daemon::overrides::scribe::Job;
use crate::daemon::wall;

impl Driver {
    /// A record of a change, without what it changed.
    pub(super) fn record(
        &self,
        action: Action,
        by: &str,
        whom: Option<&Whom>,
        reason: Option<&str>,
    ) -> Record {
        let app = |whom: &Whom| {
            let apps = &self.accepted.settings.apps;
            apps.iter().find(|app| app.lane() == whom.lane).map(|app| app.name.to_string())
        };
        Record {
            at: wall::text(self.clock.wall()),
            action,
            by: by.to_owned(),
            source: None,
            app: whom.and_then(app),
            user: whom.map(|whom| whom.user.to_string()),
            group: self.steering.group.as_deref().map(str::to_owned),
            before: None,
            after: None,
            until: None,
            reason: reason.map(str::to_owned),
            config: self.accepted.settings.hash.to_string(),
        }
    }

    /// Hands something to the scribe; `None`: this daemon keeps nothing.
    pub(super) fn keep(&self, line: Option<Line>, record: Option<Record>) -> Option<oneshot::Receiver<bool>> {
        let scribe = self.scribe.as_ref()?;
        let (done, kept) = oneshot::channel();
        scribe.write(Job { line, record, done: Some(done), whole: None });
        Some(kept)
    }

    /// Has the scribe try again what it could not write; where it has lost something, it is told all anew.
    pub(super) fn keep_again(&self) {
        let Some(scribe) = &self.scribe else { return };
        let whole = scribe.has_lost().then(|| self.steering.overrides.lines());
        scribe.write(Job { whole, ..Job::default() });
    }
}
