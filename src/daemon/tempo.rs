//! How many requests each lane had answered lately: an hour of it, minute by minute. In memory.

use std::collections::HashMap;
use std::time::Duration;

use crate::keeper::id::LaneIx;
use crate::keeper::{MonoTime, Outcome};

/// So many minutes are kept.
pub const MINUTES: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The requests of a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Minute {
    /// Those that were answered or given up, sets and clears.
    pub requests: u32,
    /// Those of them that were not granted.
    pub failed: u32,
}

/// The last hour, the oldest minute first; the last one is not over yet.
pub type Hour = [Minute; MINUTES];

/// The requests of every lane.
#[derive(Debug, Default)]
pub struct Tempo {
    lanes: HashMap<LaneIx, Lane>,
}

/// Minutes in a ring: minute `n` of the clock has the place `n % MINUTES`.
#[derive(Debug)]
struct Lane {
    minutes: Hour,
    /// The newest minute in it.
    newest: u64,
}

impl Tempo {
    /// Counts an answer.
    pub fn count(&mut self, lane: LaneIx, outcome: Outcome, now: MonoTime) {
        let newest = minute(now);
        let lane = self.lanes.entry(lane).or_insert(Lane { minutes: [Minute::default(); MINUTES], newest });
        lane.go_on(newest);
        let minute = &mut lane.minutes[place(newest)];
        minute.requests = minute.requests.saturating_add(1);
        if outcome != Outcome::Granted {
            minute.failed = minute.failed.saturating_add(1);
        }
    }

    /// A lane is gone.
    pub fn closed(&mut self, lane: LaneIx) {
        self.lanes.remove(&lane);
    }

    /// The last hour of each lane that had an answer.
    #[must_use]
    pub fn at(&mut self, now: MonoTime) -> HashMap<LaneIx, Hour> {
        let newest = minute(now);
        let hour = |(ix, lane): (&LaneIx, &mut Lane)| {
            lane.go_on(newest);
            let mut hour = lane.minutes;
            hour.rotate_left((place(lane.newest) + 1) % MINUTES);
            (*ix, hour)
        };
        self.lanes.iter_mut().map(hour).collect()
    }
}

impl Lane {
    /// Empties the minutes that have begun since.
    fn go_on(&mut self, newest: u64) {
        for begun in (self.newest + 1..=newest).take(MINUTES) {
            self.minutes[place(begun)] = Minute::default();
        }
        self.newest = self.newest.max(newest);
    }
}

fn minute(at: MonoTime) -> u64 {
    at.since(MonoTime::ZERO).as_secs() / MINUTE.as_secs()
}

fn place(minute: u64) -> usize {
    usize::try_from(minute % MINUTES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::Loss;

    #[test]
    fn an_hour_is_kept_minute_by_minute_and_what_is_older_is_forgotten() {
        let lane = LaneIx(7);
        let at = |minutes: u64| MonoTime::from_secs(1_000_020 + 60 * minutes);
        let lost = Outcome::Lost { loss: Loss::Timeout, retry_after: None };
        let mut tempo = Tempo::default();
        tempo.count(lane, Outcome::Granted, at(0));
        tempo.count(lane, lost, at(0));
        tempo.count(lane, Outcome::Granted, at(59));
        let hour = tempo.at(at(59))[&lane];
        assert_eq!(hour[0], Minute { requests: 2, failed: 1 });
        assert_eq!(hour[MINUTES - 1], Minute { requests: 1, failed: 0 });
        assert_eq!(hour.iter().map(|minute| minute.requests).sum::<u32>(), 3);
        let hour = tempo.at(at(60))[&lane];
        assert_eq!((hour[0].requests, hour[MINUTES - 2].requests, hour[MINUTES - 1].requests), (0, 1, 0));
        assert_eq!(tempo.at(at(500))[&lane], [Minute::default(); MINUTES], "nothing comes round again");
        tempo.closed(lane);
        assert!(tempo.at(at(500)).is_empty());
    }
}
