//! Reads what a config asks of the directories when it is due: groups every fifteen minutes, user principal names once a
//! day. It decides nothing about what it reads: the driver takes that, and guards it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot, watch};

use super::failure::Failure;
use super::{Book, Learned, NameKey};
use crate::config::directory::{Asks, Member};
use crate::daemon::clock::Clock;
use crate::daemon::driver::{Command, NotRead};
use crate::daemon::figures::Figures;
use crate::daemon::graph::{DirectoryPage, DirectoryRead};
use crate::daemon::logging;
use crate::keeper::id::{Guid, LaneKey, UserId};
use crate::keeper::{MonoTime, Outcome, Refusal};

/// How often it looks for what is due.
const WAKE: Duration = Duration::from_secs(60);
/// From one read of a group to the next.
const GROUP_EVERY: Duration = Duration::from_secs(15 * 60);
/// From one look at a name to the next.
const NAME_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The same of a name that is nobody's: somebody may be about to be made.
const NOBODY_EVERY: Duration = GROUP_EVERY;
/// After a failure; twice as long after each that follows, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(60);
/// The longest time to the next try, unless Graph asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest that Graph's word on when to come back is heeded.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// From one attempt to find room in the quota to the next, in the world's time: a read goes behind everything else.
const ROOM_EVERY: Duration = Duration::from_millis(250);
/// So long after something was told it is known to the driver, in the world's time: what is not by then was dropped, with a
/// config that did not ask for it, and is asked again.
const SETTLED: Duration = Duration::from_secs(5);
/// So often room is looked for; then the read has failed.
const ROOM_TRIES: u32 = 480;
/// So many apps are read for at a time, one read each.
const AT_A_TIME: usize = 8;
/// So many names are told at a time: what is told may lead to a reload.
const NAMES_AT_A_TIME: usize = 50;
/// The most pages of a group.
const PAGES_MAX: usize = 1_000;
/// The most members of a group.
const MEMBERS_MAX: usize = 500_000;

/// The task that reads.
#[derive(Debug)]
pub struct Librarian {
    /// What is asked, and what is known.
    pub figures: watch::Receiver<Arc<Figures>>,
    /// Where the reads are made, and told.
    pub commands: mpsc::Sender<Command>,
    /// Its time.
    pub clock: Clock,
}

/// The daemon has ended.
struct Over;

impl Librarian {
    /// Reads until the daemon ends.
    pub async fn keep(mut self) {
        let mut desks: BTreeMap<LaneKey, Desk> = BTreeMap::new();
        loop {
            let asking = self.figures.wait_for(|figures| !figures.accepted.asks.is_empty()).await;
            let Ok(figures) = asking.map(|figures| Arc::clone(&figures)) else { return };
            let asks = Arc::clone(&figures.accepted.asks);
            Desk::set_up(&mut desks, &asks);
            let at = &At { figures: &figures, commands: &self.commands, clock: &self.clock };
            stream::iter(desks.values_mut())
                .for_each_concurrent(AT_A_TIME, async |desk| {
                    // Whether the daemon has ended is seen below.
                    let _ = desk.round(at).await;
                })
                .await;
            let others = |figures: &Arc<Figures>| {
                !Arc::ptr_eq(&figures.accepted.asks, &asks) && figures.accepted.asks != asks
            };
            tokio::select! {
                () = self.clock.sleep(WAKE) => {}
                asked = self.figures.wait_for(others) => {
                    if asked.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// What a round is made with.
struct At<'a> {
    figures: &'a Figures,
    commands: &'a mpsc::Sender<Command>,
    clock: &'a Clock,
}

/// What is read for one app.
struct Desk {
    lane: LaneKey,
    groups: BTreeMap<Guid, (Arc<str>, Next)>,
    /// When each name was looked up, and when it is due again; `None`: nobody has asked for it in this run.
    names: BTreeMap<Box<str>, Option<(MonoTime, MonoTime)>>,
    /// What fails for one name fails for all.
    lookups: Next,
}

/// When to read, and how it went.
#[derive(Clone, Copy, Default, Debug)]
struct Next {
    due: MonoTime,
    /// When it worked last.
    worked: Option<MonoTime>,
    failures: u32,
    /// Which failure was told last.
    told: Option<&'static str>,
}

impl Next {
    /// It worked. Whether it had not before.
    fn worked(&mut self, now: MonoTime, due: MonoTime) -> bool {
        let before = std::mem::replace(self, Self { due, worked: Some(now), ..Self::default() });
        before.told.is_some()
    }

    /// It failed. How long to wait, and whether to tell.
    fn failed(&mut self, failure: &Failure, now: MonoTime) -> (Duration, bool) {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(8)).min(PAUSE_MAX);
        let wait = pause.max(failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        self.failures = self.failures.saturating_add(1);
        self.due = now + wait;
        (wait, self.told.replace(failure.class) != Some(failure.class))
    }
}

impl Desk {
    /// Has a desk for each app that asks something, and on it what is asked.
    fn set_up(desks: &mut BTreeMap<LaneKey, Self>, asks: &Asks) {
        let lanes: BTreeSet<&LaneKey> =
            asks.groups.keys().map(|(lane, _)| lane).chain(asks.users.iter().map(|(lane, _)| lane)).collect();
        desks.retain(|lane, _| lanes.contains(lane));
        for lane in lanes {
            let new = || Self {
                lane: lane.clone(),
                groups: BTreeMap::new(),
                names: BTreeMap::new(),
                lookups: Next::default(),
            };
            let desk = desks.entry(lane.clone()).or_insert_with(new);
            let groups =
                asks.groups.range((lane.clone(), Guid::default())..).take_while(|((of, _), _)| of == lane);
            let before = std::mem::take(&mut desk.groups);
            let next = |group| before.get(group).map(|(_, next)| *next).unwrap_or_default();
            desk.groups = groups.map(|((_, id), name)| (*id, (Arc::clone(name), next(id)))).collect();
            let names = asks.users.range((lane.clone(), Box::from(""))..).take_while(|(of, _)| of == lane);
            let before = std::mem::take(&mut desk.names);
            desk.names = names.map(|(_, name)| (name.clone(), before.get(name).copied().flatten())).collect();
        }
    }

    /// Reads what is due.
    async fn round(&mut self, at: &At<'_>) -> Result<(), Over> {
        let now = at.clock.now();
        let known = |group: &Guid| at.figures.directory.groups.contains_key(&(self.lane.clone(), *group));
        let due = self.groups.iter().filter(|(group, (_, next))| {
            next.due <= now || next.worked.is_some_and(|told| at.was_dropped(told, now) && !known(group))
        });
        for group in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.group(group, at).await?;
        }
        if self.lookups.due <= at.clock.now() {
            self.lookups(at).await?;
        }
        Ok(())
    }

    async fn group(&mut self, group: Guid, at: &At<'_>) -> Result<(), Over> {
        let read = self.members(group, at).await?;
        let Some((name, next)) = self.groups.get_mut(&group) else { return Ok(()) };
        let (now, app) = (at.clock.now(), at.app(&self.lane));
        match read {
            Ok(members) => {
                if next.worked(now, now + GROUP_EVERY) {
                    logging::group_read_again(app, name);
                }
                at.tell(vec![Learned::Members((self.lane.clone(), group), members)]).await
            }
            Err(failure) => {
                let (wait, tell) = next.failed(&failure, now);
                if tell {
                    let known = at.figures.directory.groups.get(&(self.lane.clone(), group));
                    logging::group_read_failed(app, name, &failure, wait, known.map(|known| known.all.len()));
                }
                Ok(())
            }
        }
    }

    /// All members of a group, once its last page has come.
    async fn members(&self, group: Guid, at: &At<'_>) -> Result<Result<Vec<Member>, Failure>, Over> {
        let mut what = DirectoryRead::Members(group);
        let (mut members, mut seen) = (Vec::new(), BTreeSet::new());
        for _ in 0..PAGES_MAX {
            let DirectoryPage { members: more, next } = match at.page(&self.lane, what).await? {
                Ok(page) => page,
                Err(NotRead::NotNow(why)) => return Ok(Err(Failure::of("no_room", Some(why), None))),
                Err(NotRead::Failed(answer)) => return Ok(Err(Failure::from_answer(&answer, true))),
            };
            members.extend(more);
            if members.len() > MEMBERS_MAX {
                break;
            }
            let Some(next) = next else { return Ok(Ok(members)) };
            if !seen.insert(next.clone()) {
                let why = "its pages lead back to one that was read".to_owned();
                return Ok(Err(Failure::of("endless", Some(why), None)));
            }
            what = DirectoryRead::Next(next);
        }
        let why = format!("more than {MEMBERS_MAX} members, or {PAGES_MAX} pages");
        Ok(Err(Failure::of("too_large", Some(why), Some("name a smaller group"))))
    }

    /// Looks up names that are due, until one cannot be.
    async fn lookups(&mut self, at: &At<'_>) -> Result<(), Over> {
        let now = at.clock.now();
        let mut learned = Vec::new();
        let mut failed = None;
        for (name, due) in &mut self.names {
            let key: NameKey = (self.lane.clone(), name.clone());
            let is_due = match *due {
                None => at.due(&key, now) <= now,
                Some((told, due)) => {
                    due <= now || at.was_dropped(told, now) && !at.figures.directory.names.contains_key(&key)
                }
            };
            if !is_due {
                continue;
            }
            match at.owner(&key).await? {
                Ok(owner) => {
                    let every = if owner.is_some() { NAME_EVERY } else { NOBODY_EVERY };
                    let now = at.clock.now();
                    *due = Some((now, now + every));
                    learned.push(Learned::Owner(key, owner));
                }
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            }
            if learned.len() >= NAMES_AT_A_TIME {
                at.tell(std::mem::take(&mut learned)).await?;
            }
        }
        let (now, app) = (at.clock.now(), at.app(&self.lane));
        match failed {
            Some(failure) => {
                let (wait, tell) = self.lookups.failed(&failure, now);
                if tell {
                    logging::user_read_failed(app, &failure, wait);
                }
            }
            None if !learned.is_empty() && self.lookups.worked(now, now) => logging::user_read_again(app),
            None => {}
        }
        if learned.is_empty() { Ok(()) } else { at.tell(learned).await }
    }
}

impl At<'_> {
    fn app(&self, lane: &LaneKey) -> &str {
        let apps = &self.figures.accepted.settings.apps;
        apps.iter().find(|app| app.lane() == *lane).map_or("", |app| &*app.name)
    }

    async fn tell(&self, learned: Vec<Learned>) -> Result<(), Over> {
        self.commands.send(Command::Learn(learned)).await.map_err(|_| Over)
    }

    /// Whether what was told at `told` and is not known now is known no longer.
    fn was_dropped(&self, told: MonoTime, now: MonoTime) -> bool {
        self.clock.real_span(now.since(told)) > SETTLED
    }

    /// When a name is due that nobody has asked for in this run, by what an earlier one has kept.
    fn due(&self, name: &NameKey, now: MonoTime) -> MonoTime {
        let book: &Book = &self.figures.directory;
        let Some(owner) = book.names.get(name).filter(|owner| owner.found) else { return now };
        // A time in the future is none.
        let age = self.clock.wall().duration_since(owner.checked).unwrap_or(NAME_EVERY);
        now + NAME_EVERY.saturating_sub(age)
    }

    /// Whose a name is.
    async fn owner(&self, (lane, name): &NameKey) -> Result<Result<Option<UserId>, Failure>, Over> {
        Ok(match self.page(lane, DirectoryRead::User(name.clone())).await? {
            Ok(page) => Ok(page.members.first().map(|member| member.id)),
            Err(NotRead::NotNow(why)) => Err(Failure::of("no_room", Some(why), None)),
            Err(NotRead::Failed(answer)) if answer.outcome == Outcome::Refused(Refusal::NotFound) => Ok(None),
            Err(NotRead::Failed(answer)) => Err(Failure::from_answer(&answer, false)),
        })
    }

    /// A page, as soon as there is room for a read.
    async fn page(
        &self,
        lane: &LaneKey,
        what: DirectoryRead,
    ) -> Result<Result<DirectoryPage, NotRead>, Over> {
        let mut tries = 0;
        loop {
            let (to, answer) = oneshot::channel();
            let command = Command::Directory { lane: lane.clone(), what: what.clone(), to };
            self.commands.send(command).await.map_err(|_| Over)?;
            let read = answer.await.map_err(|_| Over)?;
            tries += 1;
            if !matches!(read, Err(NotRead::NotNow(_))) || tries == ROOM_TRIES {
                return Ok(read);
            }
            self.clock.sleep_real(ROOM_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_tried_less_and_less_and_each_kind_is_told_once() {
        let mut next = Next::default();
        let failure = |class, retry_after| Failure { retry_after, ..Failure::of(class, None, None) };
        let throttled = failure("throttled", Some(Duration::from_secs(150)));
        let mut fail = |failure: &Failure| {
            let (wait, tell) = next.failed(failure, MonoTime::from_secs(10));
            assert_eq!(next.due, MonoTime::from_secs(10) + wait);
            (wait.as_secs(), tell)
        };
        let lost = failure("no_answer", None);
        assert_eq!((fail(&lost), fail(&lost), fail(&throttled)), ((60, true), (120, false), (240, true)));
        assert_eq!((fail(&lost), fail(&lost), fail(&lost)), ((480, true), (900, false), (900, false)));
        let far = failure("no_answer", Some(Duration::from_secs(100_000)));
        assert_eq!(fail(&far), (3_600, false));
        let now = MonoTime::from_secs(4);
        assert!(next.worked(now, MonoTime::from_secs(5)) && !next.worked(now, MonoTime::from_secs(6)));
        assert_eq!(next.failed(&lost, MonoTime::ZERO), (PAUSE, true), "it begins anew");
    }
}
