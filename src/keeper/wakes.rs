//! Which lane or app wants to be looked at next.

use std::collections::BTreeSet;

use super::time::MonoTime;

/// When each of several things wants to be looked at.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    order: BTreeSet<(MonoTime, u32)>,
    at: Vec<MonoTime>,
}

impl Wakes {
    /// Look at it then; at [`MonoTime::FAR`]: not at all.
    pub(super) fn set(&mut self, ix: u32, at: MonoTime) {
        let place = ix as usize;
        if self.at.len() <= place {
            self.at.resize(place + 1, MonoTime::FAR);
        }
        let before = std::mem::replace(&mut self.at[place], at);
        if before != at {
            self.order.remove(&(before, ix));
            if at < MonoTime::FAR {
                self.order.insert((at, ix));
            }
        }
    }

    /// The first one whose time has come; it is not looked at again until it is set again.
    pub(super) fn pop(&mut self, now: MonoTime) -> Option<u32> {
        let (_, ix) = self.order.first().copied().filter(|&(at, _)| at <= now)?;
        self.set(ix, MonoTime::FAR);
        Some(ix)
    }

    pub(super) fn first(&self) -> Option<(MonoTime, u32)> {
        self.order.first().copied()
    }
}
