//! What has been counted for each app since the daemon started: it only grows, also when a lane closes and opens again,
//! or another lane takes the app's name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::keeper::id::LaneIx;
use crate::keeper::tally::Tally;
use crate::keeper::{LaneSnapshot, MonoTime, Snapshot};

/// By the app's name.
pub type Apps = BTreeMap<Arc<str>, Meter>;

/// What has been counted for one app.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Requests, renewals, lapses.
    pub tally: Tally,
    /// How long sessions were held, lapsed and parked, added up; looked at once a second.
    pub spent: Spent,
    /// How long calls took, from their send to their answer.
    pub durations: Histogram,
    /// How long after they were due renewals were sent.
    pub lateness: Histogram,
}

/// Session-seconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Spent {
    /// Held, late ones included.
    pub held: f64,
    /// Past their lapse.
    pub lapsed: f64,
    /// Refused by Graph.
    pub parked: f64,
}

/// Counts of spans by how long they were.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// By class of [`Histogram::BOUNDS`]; the last one is what is beyond them.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// All spans added up, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// The longest span of each class, in seconds: from what is fast on the same machine to longer than a request may
    /// take, and than a renewal has between its due time and its lapse in a small lane.
    pub const BOUNDS: [f64; 16] =
        [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0];

    fn record(&mut self, span: Duration) {
        let secs = span.as_secs_f64();
        self.counts[Self::BOUNDS.partition_point(|&bound| bound < secs)] += 1;
        self.sum += secs;
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }
}

/// Counts for the driver: by lane at each request, which costs a few nanoseconds, and by app once a second.
#[derive(Debug, Default)]
pub(super) struct Meters {
    apps: Arc<Apps>,
    lanes: Vec<Lane>,
    counted_at: Option<MonoTime>,
}

/// Of one lane, since apps were counted last.
#[derive(Debug, Default)]
struct Lane {
    /// The app's name, once it is known.
    name: Option<Arc<str>>,
    /// What was counted for the app already.
    counted: Tally,
    durations: Histogram,
    lateness: Histogram,
}

impl Meters {
    /// Apps that are no longer in the config are remembered up to so many in all, in case that they come back.
    const APPS: usize = 10_000;

    /// A call was answered, or lost.
    pub(super) fn answered(&mut self, lane: LaneIx, took: Duration) {
        self.lane(lane).durations.record(took);
    }

    /// A renewal goes out, so long after it was due.
    pub(super) fn renews(&mut self, lane: LaneIx, late: Duration) {
        self.lane(lane).lateness.record(late);
    }

    /// Counts what has come since this was asked last.
    pub(super) fn count(&mut self, snapshot: &Snapshot, at: MonoTime) -> Arc<Apps> {
        let secs = at.since(self.counted_at.replace(at).unwrap_or(at)).as_secs_f64();
        for lane in &snapshot.lanes {
            self.lane(lane.lane).name = Some(Arc::clone(&lane.name));
            self.fold(lane.lane, &lane.tally);
            let apps = Arc::make_mut(&mut self.apps);
            apps.entry(Arc::clone(&lane.name)).or_default().spent.add(lane, secs);
        }
        if self.apps.len() > Self::APPS {
            let open = |name: &Arc<str>| snapshot.lanes.iter().any(|lane| lane.name == *name);
            Arc::make_mut(&mut self.apps).retain(|name, _| open(name));
        }
        Arc::clone(&self.apps)
    }

    /// A lane is gone, and its place free for another.
    pub(super) fn close(&mut self, lane: LaneIx, tally: &Tally) {
        self.fold(lane, tally);
        *self.lane(lane) = Lane::default();
    }

    fn fold(&mut self, lane: LaneIx, tally: &Tally) {
        let lane = self.lane(lane);
        let Some(name) = lane.name.clone() else { return };
        let (durations, lateness) = (std::mem::take(&mut lane.durations), std::mem::take(&mut lane.lateness));
        let before = std::mem::replace(&mut lane.counted, *tally);
        let app = Arc::make_mut(&mut self.apps).entry(name).or_default();
        app.tally.add(&before, tally);
        app.durations.add(&durations);
        app.lateness.add(&lateness);
    }

    fn lane(&mut self, lane: LaneIx) -> &mut Lane {
        let at = lane.0 as usize;
        if at >= self.lanes.len() {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        &mut self.lanes[at]
    }
}

impl Spent {
    fn add(&mut self, lane: &LaneSnapshot, secs: f64) {
        self.held += f64::from(lane.held) * secs;
        self.lapsed += f64::from(lane.lapsed) * secs;
        self.parked += f64::from(lane.parked) * secs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::figures::testing::lane;

    const SECOND: Duration = Duration::from_secs(1);

    fn snapshot(renewals: u64, name: &str) -> Snapshot {
        let tally = Tally { renewals, ..Tally::default() };
        let lane = LaneSnapshot { tally, name: name.into(), lapsed: 2, parked: 3, ..lane(10) };
        Snapshot { lanes: vec![lane] }
    }

    #[test]
    fn a_count_goes_on_when_a_lane_closes_and_opens_again() {
        let mut meters = Meters::default();
        let at = MonoTime::from_secs(100);
        assert_eq!(meters.count(&snapshot(7, "a"), at)["a"].tally.renewals, 7);
        meters.close(LaneIx(0), &Tally { renewals: 9, ..Tally::default() });
        let apps = meters.count(&Snapshot::default(), at + SECOND);
        assert_eq!(apps["a"].tally.renewals, 9, "what came between the last look and the end counts");
        let apps = meters.count(&snapshot(1, "a"), at + SECOND * 2);
        assert_eq!(apps["a"].tally.renewals, 10);
        let apps = meters.count(&snapshot(4, "b"), at + SECOND * 3);
        assert_eq!(
            (apps["a"].tally.renewals, apps["b"].tally.renewals),
            (10, 3),
            "an app that is called otherwise"
        );
    }

    #[test]
    fn session_seconds_are_counts_times_time() {
        let mut meters = Meters::default();
        let at = MonoTime::from_secs(100);
        meters.count(&snapshot(0, "a"), at);
        meters.count(&snapshot(0, "a"), at + SECOND);
        let apps = meters.count(&snapshot(0, "a"), at + SECOND * 5);
        assert_eq!(apps["a"].spent, Spent { held: 50.0, lapsed: 10.0, parked: 15.0 });
    }

    #[test]
    fn spans_are_counted_in_the_class_that_they_fit_in() {
        let mut meters = Meters::default();
        let at = MonoTime::from_secs(100);
        for ms in [1, 5, 6, 400_000] {
            meters.answered(LaneIx(0), Duration::from_millis(ms));
        }
        meters.renews(LaneIx(0), Duration::ZERO);
        let apps = meters.count(&snapshot(0, "a"), at);
        let (durations, lateness) = (&apps["a"].durations, &apps["a"].lateness);
        assert_eq!((durations.counts[0], durations.counts[1]), (2, 1));
        assert_eq!((durations.counts[Histogram::BOUNDS.len()], lateness.counts[0]), (1, 1));
        assert!((durations.sum - 400.012).abs() < 1e-9);
    }
}
