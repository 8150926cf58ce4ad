//! Looks at credentials, each on a thread of its own: a disk that hangs under one holds up nobody else's.
//!
//! Nothing here reads a file or a clock, and nothing is decided about what a look brings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::keeper::MonoTime;
use crate::keeper::id::LaneIx;

/// So many threads look at a time; those that hang are not counted. A look is a read or two of a small file.
const AT_A_TIME: usize = 32;
/// So many threads may hang besides: a quarter of those that the runtime has for all that blocks. With more, looks wait.
const MOST_HANGING: usize = 128;
/// A look that takes longer than this hangs. No disk that works takes seconds.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A credential that is looked at: the lane that it is of, and where its source is in memory, so that the source of a
/// new config is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) lane: LaneIx,
    pub(super) source: usize,
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum For {
    /// Whether the credential is another.
    Change,
    /// When it ends.
    End,
}

type Look<T> = Box<dyn FnOnce() -> T + Send>;

/// Looks that are under way, one at most at each credential, and those that wait for their turn, one of each kind.
pub(super) struct Looks<T> {
    tasks: JoinSet<T>,
    under_way: HashMap<Id, UnderWay>,
    /// What is being looked at.
    busy: BTreeSet<Place>,
    waiting: BTreeMap<(Place, For), Look<T>>,
    hanging: usize,
}

struct UnderWay {
    place: Place,
    since: MonoTime,
    hangs: bool,
}

impl<T: Send + 'static> Looks<T> {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            busy: BTreeSet::new(),
            waiting: BTreeMap::new(),
            hanging: 0,
        }
    }

    /// Wants a look: [`Looks::begin`] begins it when there is room and no other look at that credential is under way.
    /// Where one of its kind waits already, that one will do.
    pub(super) fn want(&mut self, place: Place, what: For, look: impl FnOnce() -> T + Send + 'static) {
        self.waiting.entry((place, what)).or_insert_with(|| Box::new(look));
    }

    /// Those of a kind that wait are wanted no more: their credential may be of a config of before.
    pub(super) fn forget(&mut self, what: For) {
        self.waiting.retain(|(_, kind), _| *kind != what);
    }

    /// Begins as many as there is room for.
    pub(super) fn begin(&mut self, now: MonoTime) {
        while self.tasks.len() < AT_A_TIME + self.hanging.min(MOST_HANGING) {
            let idle = |(place, _): &&(Place, For)| !self.busy.contains(place);
            let Some(next) = self.waiting.keys().find(idle).copied() else { return };
            let Some(look) = self.waiting.remove(&next) else { return };
            let (place, _) = next;
            let task = self.tasks.spawn_blocking(look).id();
            self.busy.insert(place);
            self.under_way.insert(task, UnderWay { place, since: now, hangs: false });
        }
    }

    /// The next one that has come back, with what it brought, or that it panicked; never where none is under way. It may
    /// be given up and called again.
    pub(super) async fn next(&mut self) -> Option<Result<T, JoinError>> {
        let done = self.tasks.join_next_with_id().await?;
        Some(self.came_back(done))
    }

    /// The same without waiting.
    pub(super) fn try_next(&mut self) -> Option<Result<T, JoinError>> {
        let done = self.tasks.try_join_next_with_id()?;
        Some(self.came_back(done))
    }

    fn came_back(&mut self, done: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        if let Some(was) = self.under_way.remove(&task) {
            self.busy.remove(&was.place);
            self.hanging -= usize::from(was.hangs);
        }
        done.map(|(_, brought)| brought)
    }

    /// The lanes whose credential has begun to hang, each once. `speed` is that of the clock: disks have the world's.
    pub(super) fn begun_to_hang(&mut self, now: MonoTime, speed: u32) -> BTreeSet<LaneIx> {
        let limit = HANGS_AFTER.saturating_mul(speed);
        let mut lanes = BTreeSet::new();
        for look in self.under_way.values_mut().filter(|look| !look.hangs && now.since(look.since) >= limit) {
            look.hangs = true;
            self.hanging += 1;
            lanes.insert(look.place.lane);
        }
        lanes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const BEGIN: MonoTime = MonoTime::ZERO;

    fn place(lane: u32) -> Place {
        Place { lane: LaneIx(lane), source: 0x1000 }
    }

    /// A look that hangs until the sender is dropped.
    fn hanging(lane: u32) -> (Sender<()>, impl FnOnce() -> u32 + Send + 'static) {
        let (hangs, until): (Sender<()>, Receiver<()>) = channel();
        (hangs, move || {
            let _ = until.recv();
            lane
        })
    }

    async fn brought(looks: &mut Looks<u32>) -> u32 {
        tokio::time::timeout(Duration::from_secs(30), looks.next()).await.unwrap().unwrap().unwrap()
    }

    #[tokio::test]
    async fn one_that_hangs_keeps_no_other_from_being_looked_at_and_is_not_looked_at_again() {
        let mut looks = Looks::new();
        let (disk, look) = hanging(0);
        looks.want(place(0), For::Change, look);
        for round in 1..4 {
            looks.want(place(0), For::Change, || panic!("nobody looks there twice at a time"));
            looks.want(place(0), For::End, || 100);
            looks.want(place(1), For::Change, move || round);
            looks.begin(BEGIN);
            assert_eq!(brought(&mut looks).await, round);
            assert_eq!(looks.tasks.len(), 1, "the one that hangs");
        }
        assert_eq!(looks.waiting.len(), 2, "one of each kind");
        looks.waiting.remove(&(place(0), For::Change));
        drop(disk);
        assert_eq!(brought(&mut looks).await, 0);
        looks.begin(BEGIN);
        assert_eq!(brought(&mut looks).await, 100, "it is looked at again");
        assert!(looks.next().await.is_none() && looks.busy.is_empty() && looks.under_way.is_empty());
    }

    #[tokio::test]
    async fn a_look_hangs_after_a_minute_of_the_world_and_is_told_once() {
        let mut looks = Looks::new();
        let (disk, look) = hanging(7);
        looks.want(place(7), For::Change, look);
        looks.begin(BEGIN);
        let after = |seconds| BEGIN + Duration::from_secs(seconds);
        assert!(looks.begun_to_hang(after(59), 1).is_empty());
        assert!(looks.begun_to_hang(after(599), 10).is_empty(), "a fast clock");
        assert_eq!(looks.begun_to_hang(after(60), 1), [LaneIx(7)].into());
        assert!(looks.begun_to_hang(after(90), 1).is_empty(), "told once");
        drop(disk);
        assert_eq!(brought(&mut looks).await, 7);
        assert_eq!(looks.hanging, 0);
        let (_disk, look) = hanging(7);
        looks.want(place(7), For::Change, look);
        looks.begin(after(100));
        assert_eq!(looks.begun_to_hang(after(160), 1), [LaneIx(7)].into(), "another time, another word");
    }

    #[tokio::test]
    async fn so_many_look_at_a_time_and_those_that_hang_take_nobodys_place_up_to_a_bound() {
        let mut looks = Looks::new();
        let mut disks = Vec::new();
        let lanes = u32::try_from(MOST_HANGING + 3 * AT_A_TIME).unwrap();
        for lane in 0..lanes {
            let (disk, look) = hanging(lane);
            disks.push(disk);
            looks.want(place(lane), For::Change, look);
        }
        let mut now = BEGIN;
        for expected in [32, 64, 96, 128, 160, 160, 160] {
            looks.begin(now);
            assert_eq!(looks.tasks.len(), expected);
            now += HANGS_AFTER;
            looks.begun_to_hang(now, 1);
        }
        drop(disks);
        for _ in 0..lanes {
            brought(&mut looks).await;
            looks.begin(now);
        }
        assert!(looks.waiting.is_empty() && looks.hanging == 0);
    }

    #[tokio::test]
    async fn a_look_that_panics_is_told_and_leaves_nothing_behind() {
        let mut looks: Looks<u32> = Looks::new();
        looks.want(place(0), For::End, || panic!("on purpose"));
        looks.begin(BEGIN);
        assert!(looks.next().await.unwrap().is_err());
        assert!(looks.busy.is_empty() && looks.under_way.is_empty());
    }
}
