//! Which session is next: every session that has something coming stands in exactly one queue.

use std::collections::BTreeSet;

use super::id::Slot;
use super::time::MonoTime;

/// Where a session stands, and what its key means there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Queue {
    /// Its lease is good; it is renewed at the key.
    Due,
    /// Its last request was lost; it is sent again at the key.
    Retry,
    /// Refused; tried again at the key.
    Parked,
    /// Its user moves; it is cleared at the key, set in the other lane or not.
    Moving,
    /// To be renewed now; lapses at the key.
    Renewal,
    /// Past its lapse, at the key.
    Lapsed,
    /// To be set or cleared now by an override, wanted since the key.
    Override,
    /// To be set now, or cleared for a user who is still planned for, wanted since the key.
    Change,
    /// To be cleared now, of a user who is gone since the key.
    Clear,
}

/// The queues of a lane, each in the order of its keys, then of slots.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    queues: [BTreeSet<(MonoTime, Slot)>; 9],
    /// Leases that may lapse while their session is in flight or waits for a repeat, by their lapse.
    watched: BTreeSet<(MonoTime, Slot)>,
}

/// A session's entry in a queue.
pub(super) type Place = (Queue, MonoTime);

impl Agenda {
    pub(super) fn put(&mut self, slot: Slot, (queue, key): Place) {
        self.queues[queue as usize].insert((key, slot));
    }

    pub(super) fn take(&mut self, slot: Slot, (queue, key): Place) {
        let stood = self.queues[queue as usize].remove(&(key, slot));
        debug_assert!(stood, "a session stands where it says");
    }

    pub(super) fn first(&self, queue: Queue) -> Option<(MonoTime, Slot)> {
        self.queues[queue as usize].first().copied()
    }

    /// The first of a queue whose key has come.
    pub(super) fn come(&self, queue: Queue, now: MonoTime) -> Option<Slot> {
        self.first(queue).filter(|&(key, _)| key <= now).map(|(_, slot)| slot)
    }

    /// All of a queue, in its order.
    pub(super) fn entries(&self, queue: Queue) -> impl Iterator<Item = (MonoTime, Slot)> + '_ {
        self.queues[queue as usize].iter().copied()
    }

    /// Slots in a queue whose key is before `until`.
    pub(super) fn before(&self, queue: Queue, until: MonoTime) -> impl Iterator<Item = Slot> + '_ {
        self.queues[queue as usize].iter().take_while(move |(key, _)| *key < until).map(|(_, slot)| *slot)
    }

    pub(super) fn watch(&mut self, slot: Slot, lapses_at: MonoTime) {
        self.watched.insert((lapses_at, slot));
    }

    pub(super) fn unwatch(&mut self, slot: Slot, lapses_at: MonoTime) {
        self.watched.remove(&(lapses_at, slot));
    }

    pub(super) fn first_watched(&self) -> Option<(MonoTime, Slot)> {
        self.watched.first().copied()
    }
}
