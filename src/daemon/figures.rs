//! How the daemon stands, for others to read, and in one line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use super::directory::Book;
use super::logging::Summary;
use super::meters;
use super::reload::Accepted;
use super::token::expiry::End;
use super::troubles::Troubles;
use crate::config::settings::ConfigHash;
use crate::keeper::id::LaneKey;
use crate::keeper::snapshot::Standing;
use crate::keeper::{LaneSnapshot, MonoTime, Snapshot};

/// How the daemon stands at a moment. Published once a second.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The moment.
    pub at: MonoTime,
    /// What it is doing.
    pub stage: Stage,
    /// The keeper's counters and lane figures.
    pub snapshot: Snapshot,
    /// The config in force.
    pub config: ConfigHash,
    /// What is wrong with the config, if something is.
    pub trouble: ConfigTrouble,
    /// The moment, in wall time.
    pub wall: SystemTime,
    /// When the daemon started, in wall time.
    pub started: SystemTime,
    /// What is in force.
    pub accepted: Accepted,
    /// The last reload; `None`: there was none.
    pub last_reload: Option<LastReload>,
    /// When the file was taken last, in wall time; `None`: never in this run.
    pub last_taken: Option<SystemTime>,
    /// When the keeper was last prompted to look at everything again, in wall time; `None`: not yet.
    pub last_sweep: Option<SystemTime>,
    /// What has been counted for each app.
    pub meters: Arc<meters::Apps>,
    /// What the directories have said.
    pub directory: Arc<Book>,
    /// Overrides in force.
    pub overrides: usize,
    /// Who is released; `None`: nobody.
    pub released: Option<Released>,
    /// When credentials end, as far as that is known.
    pub ends: Arc<BTreeMap<LaneKey, End>>,
    /// What was said last of apps in trouble.
    pub troubles: Arc<Troubles>,
}

/// Whose sessions are not held because somebody said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Released {
    /// Everyone's.
    All,
    /// Those of so many users.
    Users(usize),
}

/// What came of the last reload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastReload {
    /// When it was over, in wall time.
    pub at: SystemTime,
    /// Why it was refused; `None`: it was taken.
    pub refused: Option<String>,
}

/// What a daemon is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The first plan is being taken.
    Starting,
    /// It keeps sessions.
    Running,
    /// It takes another plan, and keeps sessions.
    Reloading,
    /// It ends.
    Stopping,
}

/// What an operator has to mend about the config.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConfigTrouble {
    /// The file was refused at start; in force is one accepted at this time.
    pub last_good: Option<String>,
    /// The file was refused at the last reload.
    pub refused: bool,
    /// Removals that wait to be accepted.
    pub held: usize,
    /// Members that Entra groups lack, and that wait to be accepted.
    pub held_members: usize,
    /// User principal names that are nobody's.
    pub nobodys: usize,
}

impl ConfigTrouble {
    /// Notes what the directories say that somebody should look at.
    pub fn note_book(&mut self, book: &Book) {
        (self.held_members, self.nobodys) = (book.held(), book.nobodys());
    }

    /// In a few words; `None` when all is well.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let mut notes = Vec::new();
        if let Some(at) = &self.last_good {
            notes.push(format!("RUNNING ON THE LAST GOOD CONFIG of {at}: the file is refused"));
        } else if self.refused {
            notes.push("the file is refused, the config before it stays in force".to_owned());
        }
        if self.held > 0 {
            notes.push(format!("{} removals wait to be accepted", self.held));
        }
        if self.held_members > 0 {
            notes.push(format!("{} members that Entra groups lack wait to be accepted", self.held_members));
        }
        match self.nobodys {
            0 => {}
            1 => notes.push("one user principal name is nobody's".to_owned()),
            count => notes.push(format!("{count} user principal names are nobody's")),
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

impl Figures {
    /// One line for `systemctl status`.
    #[must_use]
    pub fn status_line(&self) -> String {
        let sum = self.sum();
        let doing = match self.stage {
            Stage::Starting => "starting: ",
            Stage::Running => "",
            Stage::Reloading => "reloading: ",
            Stage::Stopping => "stopping: ",
        };
        let mut line = format!("{doing}{} of {} sessions held", sum.held, sum.sessions);
        let mut count = |count: u32, what: &str| {
            if count > 0 {
                // Writing to a String cannot fail.
                let _ = write!(line, ", {count} {what}");
            }
        };
        count(sum.lapsed, "lapsed");
        count(sum.late, "late");
        count(sum.pending, "pending");
        count(sum.parked, "refused by Graph");
        count(sum.unfunded, "beyond the quota");
        for lane in self.snapshot.lanes.iter().filter(|lane| lane.sessions > 0) {
            let trouble = match lane.standing {
                Standing::Open | Standing::Closed(_) => continue,
                Standing::Probing => "no answer from Graph",
                Standing::Parked => "every user refused",
                // Before the first token there is nothing to tell yet.
                Standing::NoToken if lane.granted == 0 && self.stage == Stage::Starting => continue,
                Standing::NoToken => "no token",
            };
            let _ = write!(line, "; {}: {trouble}", lane.name);
        }
        let _ = write!(line, "; config {}", self.config);
        if let Some(note) = self.trouble.note() {
            let _ = write!(line, "; {note}");
        }
        line
    }

    /// The lanes' counters, added up; `renewals` since the first, `quota_used` of the fullest.
    #[must_use]
    pub fn sum(&self) -> Summary<'static> {
        let lanes = &self.snapshot.lanes;
        let add = |count: fn(&LaneSnapshot) -> u32| lanes.iter().map(count).sum();
        Summary {
            sessions: add(|lane| lane.sessions),
            held: add(|lane| lane.held),
            late: add(|lane| lane.late),
            lapsed: add(|lane| lane.lapsed),
            pending: add(|lane| lane.pending),
            parked: add(|lane| lane.parked),
            unfunded: add(|lane| lane.unfunded),
            renewals: lanes.iter().map(|lane| lane.renewals).sum(),
            p99: None,
            quota_used: lanes
                .iter()
                .map(|lane| 100.0 * f64::from(lane.quota_used) / f64::from(lane.quota.max(1)))
                .fold(0.0, f64::max),
            note: None,
        }
    }
}

/// What tests elsewhere need, too.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::daemon::clock::Clock;
    use crate::daemon::reload::{Before, prepare};
    use crate::keeper::Plan;
    use crate::keeper::id::{Guid, LaneIx, LaneKey};
    use crate::keeper::tally::Tally;

    /// An app `contoso` that has 483 sessions and holds so many.
    pub fn lane(held: u32) -> LaneSnapshot {
        LaneSnapshot {
            lane: LaneIx(0),
            key: LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(2) },
            name: "contoso".into(),
            sessions: 483,
            held,
            late: 0,
            lapsed: 0,
            parked: 0,
            unfunded: 0,
            pending: 0,
            clearing: 0,
            in_flight: 0,
            quota_used: 69,
            quota: 1_500,
            fraction: 0.5,
            next_lapse_in: None,
            standing: Standing::Open,
            token_good_for: None,
            renewals: 0,
            granted: 0,
            throttled: 0,
            token_rejected: 0,
            refused: 0,
            lost: 0,
            lapses: 0,
            tally: Tally::default(),
        }
    }

    /// A daemon with these lanes.
    pub fn figures(stage: Stage, lanes: Vec<LaneSnapshot>, trouble: ConfigTrouble) -> Figures {
        let config = ConfigHash([0x7f; 32]);
        let loaded = crate::config::load_sources(
            crate::config::example::sources("c.toml"),
            crate::config::Look::TextsAlone,
        )
        .unwrap();
        Figures {
            at: MonoTime::ZERO,
            stage,
            snapshot: Snapshot { lanes },
            config,
            trouble,
            wall: SystemTime::UNIX_EPOCH,
            started: SystemTime::UNIX_EPOCH,
            accepted: prepare(loaded, Before::Ledger(&Plan::default()), &Clock::real(), false).unwrap().next,
            last_reload: None,
            last_taken: None,
            last_sweep: None,
            meters: Arc::default(),
            directory: Arc::default(),
            overrides: 0,
            released: None,
            ends: Arc::default(),
            troubles: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{figures, lane};
    use super::*;

    #[test]
    fn the_status_line_says_what_is_held_and_by_which_config() {
        let line = figures(Stage::Running, vec![lane(483)], ConfigTrouble::default()).status_line();
        assert_eq!(line, "483 of 483 sessions held; config 7f7f7f7");
    }

    #[test]
    fn the_status_line_names_what_is_wrong_and_nothing_else() {
        let down = LaneSnapshot { standing: Standing::NoToken, lapsed: 3, parked: 1, ..lane(479) };
        let trouble = ConfigTrouble { refused: true, held: 31, ..ConfigTrouble::default() };
        assert_eq!(
            figures(Stage::Reloading, vec![down], trouble).status_line(),
            "reloading: 479 of 483 sessions held, 3 lapsed, 1 refused by Graph; contoso: no token; config 7f7f7f7; \
             the file is refused, the config before it stays in force; 31 removals wait to be accepted"
        );
    }

    #[test]
    fn an_old_config_in_force_cannot_be_overlooked() {
        let last_good = Some("2026-11-23T09:14:02Z".to_owned());
        let trouble = ConfigTrouble { last_good, ..ConfigTrouble::default() };
        let line = figures(Stage::Running, vec![lane(483)], trouble).status_line();
        assert!(
            line.ends_with("RUNNING ON THE LAST GOOD CONFIG of 2026-11-23T09:14:02Z: the file is refused")
        );
    }

    #[test]
    fn lanes_add_up_and_the_fullest_gives_the_quota() {
        let full = LaneSnapshot { quota_used: 750, ..lane(483) };
        let sum = figures(Stage::Running, vec![lane(480), full], ConfigTrouble::default()).sum();
        assert_eq!((sum.sessions, sum.held), (966, 963));
        assert!((sum.quota_used - 50.0).abs() < 1e-9);
    }
}
