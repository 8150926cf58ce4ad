//! Requests that may wait a moment to go out together, and when that is worth it.
//!
//! It is the keeper that counts requests: one that waits here counts as sent, and so does its lease. Nothing here
//! decides about a session.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::daemon::graph::GraphClient;
use crate::keeper::id::LaneIx;
use crate::keeper::{MonoTime, Request};

/// The longest that a request waits for others: a fortieth of the time that a full lane has between a renewal and its
/// lapse.
pub(super) const WINDOW: Duration = Duration::from_millis(250);
/// A lane where batches fail as such makes single calls for this long.
const ALONE: Duration = Duration::from_secs(3_600);
/// Rates are those of about this long in the world's time: a start that is over in seconds makes no daemon busy.
const MEMORY_SECS: f64 = 10.0;

/// Whether the requests of a lane that sends `lane` a second are to go out in batches, in a daemon that sends `whole` a
/// second.
///
/// The measure is processor time, because a batch saves nothing else: each of its calls counts against the quota, and
/// all of them wait for the slowest.
const fn pays(whole: f64, lane: f64) -> bool {
    /// A call alone takes 58 µs where it wakes the daemon up by itself (HTTP/2 over TLS, `benches/client.rs`; together
    /// it is 4.5 µs): up to here that is two hundredths of a core, and not worth a second thought. Seven full lanes
    /// send as much.
    const BUSY: f64 = 350.0;
    /// And a lane must have some calls to put together: with fewer than four, most of the saving is gone.
    const FEW: f64 = 4.0;
    whole >= BUSY && lane * WINDOW.as_millis() as f64 / 1e3 >= FEW
}

/// What waits, by lane.
#[derive(Debug, Default)]
pub(super) struct Gather {
    lanes: BTreeMap<LaneIx, Lane>,
    /// Requests of all lanes per second of the world.
    whole: f64,
    /// When the first of them are to go out.
    due: Option<MonoTime>,
    counted_at: Option<MonoTime>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: Vec<Request>,
    due: Option<MonoTime>,
    /// Requests since the last count.
    sent: u32,
    /// Requests per second.
    rate: f64,
    /// Until when no batch is tried.
    alone_until: Option<MonoTime>,
}

impl Gather {
    /// Counts a request. Whether it is to be handed to [`Gather::wait`]; else it goes out by itself, at once.
    pub(super) fn takes(&mut self, request: &Request, now: MonoTime) -> bool {
        let lane = self.lanes.entry(request.session.lane).or_default();
        lane.sent += 1;
        pays(self.whole, lane.rate) && lane.alone_until.is_none_or(|until| until <= now)
    }

    /// Lets a request wait until then, for others of its lane. Returns those that are to go out now, because they are
    /// enough, or need another token than this one.
    #[must_use]
    pub(super) fn wait(&mut self, request: Request, until: MonoTime) -> Option<Vec<Request>> {
        let lane = self.lanes.entry(request.session.lane).or_default();
        let others = lane.waiting.first().is_some_and(|first| first.generation != request.generation);
        let before = others.then(|| lane.take());
        lane.waiting.push(request);
        if lane.waiting.len() == GraphClient::MOST {
            return Some(lane.take());
        }
        let due = lane.due.map_or(until, |due| due.min(until));
        lane.due = Some(due);
        self.due = Some(self.due.map_or(due, |first| first.min(due)));
        before
    }

    /// When something is to go out.
    pub(super) fn due(&self) -> MonoTime {
        self.due.unwrap_or(MonoTime::FAR)
    }

    /// What is to go out now, together.
    pub(super) fn take_due(&mut self, now: MonoTime) -> Vec<Vec<Request>> {
        if self.due() > now {
            return Vec::new();
        }
        let due = self.lanes.values_mut().filter(|lane| lane.due.is_some_and(|due| due <= now));
        let taken = due.map(Lane::take).collect();
        self.due = self.lanes.values().filter_map(|lane| lane.due).min();
        taken
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    /// Takes the measure of the time since this was asked last; `speed` is that of the clock against the world's.
    pub(super) fn count(&mut self, now: MonoTime, speed: u32) {
        let took = now.since(self.counted_at.replace(now).unwrap_or(now)).as_secs_f64();
        if took <= 0.0 {
            return;
        }
        let weight = (took / f64::from(speed) / MEMORY_SECS).min(1.0);
        self.whole = 0.0;
        for lane in self.lanes.values_mut() {
            let rate = f64::from(std::mem::take(&mut lane.sent)) / took;
            lane.rate += (rate - lane.rate) * weight;
            self.whole += lane.rate * f64::from(speed);
        }
    }

    /// Batches fail as such in this lane. Whether that is news.
    pub(super) fn fails(&mut self, lane: LaneIx, now: MonoTime) -> bool {
        let lane = self.lanes.entry(lane).or_default();
        let before = lane.alone_until.replace(now + ALONE);
        before.is_none()
    }

    /// A batch was answered call by call.
    pub(super) fn works(&mut self, lane: LaneIx) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.alone_until = None;
        }
    }

    /// The lane is gone.
    pub(super) fn close(&mut self, lane: LaneIx) {
        self.lanes.remove(&lane);
    }
}

impl Lane {
    fn take(&mut self) -> Vec<Request> {
        self.due = None;
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::Call;
    use crate::keeper::id::{Generation, Guid, SessionIx, Slot};

    const START: MonoTime = MonoTime::from_secs(1_000);

    fn request(lane: u32, slot: u32) -> Request {
        Request {
            session: SessionIx { lane: LaneIx(lane), slot: Slot(slot) },
            user: Guid::from_u128(slot.into()),
            call: Call::Clear,
            generation: Generation(1),
            deadline: MonoTime::FAR,
            due: None,
        }
    }

    /// One that has sent so many a second from each of its lanes, for a minute of the world's time.
    fn after_a_minute(lanes: u32, rate: u32, speed: u32) -> (Gather, MonoTime) {
        let mut gather = Gather::default();
        let mut now = START;
        for _ in 0..=60 {
            now += Duration::from_secs(speed.into());
            for lane in 0..lanes {
                for _ in 0..rate * speed {
                    gather.takes(&request(lane, 0), now);
                }
            }
            gather.count(now, speed);
        }
        (gather, now)
    }

    #[test]
    fn batches_pay_in_busy_lanes_of_a_busy_daemon_only() {
        // 40 users, a full lane, several full lanes: Available sessions, each renewed every 150 s to 290 s.
        let full = 13_500.0 / 290.0;
        for (lanes, lane, expected) in
            [(1.0, 40.0 / 150.0, false), (1.0, full, false), (7.0, full, false), (8.0, full, true)]
        {
            assert_eq!(pays(lanes * lane, lane), expected, "{lanes} lanes, {lane} a second");
        }
        assert!(!pays(10_000.0, 10.0), "a quiet lane among busy ones has nothing to put together");
        assert!(pays(10_000.0, 10_000.0));
    }

    #[test]
    fn the_rate_is_that_of_all_lanes_in_the_worlds_time() {
        let takes = |(mut gather, now): (Gather, MonoTime)| gather.takes(&request(0, 0), now);
        assert!(!takes((Gather::default(), START)));
        assert!(!takes(after_a_minute(1, 48, 1)));
        assert!(!takes(after_a_minute(7, 48, 1)));
        assert!(takes(after_a_minute(8, 48, 1)));
        assert!(takes(after_a_minute(1, 48, 8)), "a fast clock costs as much");
        assert!(!takes(after_a_minute(200, 5, 1)));
        let mut started = Gather::default();
        started.count(START, 1);
        for _ in 0..1_500 {
            started.takes(&request(0, 0), START);
        }
        started.count(START + Duration::from_secs(1), 1);
        assert!(!started.takes(&request(0, 0), START), "a second of it is a start, not a load");
        let (mut gather, mut now) = after_a_minute(20, 48, 1);
        for _ in 0..30 {
            now += Duration::from_secs(1);
            gather.count(now, 1);
        }
        assert!(!gather.takes(&request(0, 0), now), "what was busy is quiet now");
    }

    #[test]
    fn requests_of_a_lane_go_out_together_when_the_first_has_waited_long_enough() {
        let mut gather = Gather::default();
        for (lane, slot, at) in [(1, 0, 0), (2, 0, 50), (1, 1, 100)] {
            let until = START + Duration::from_millis(at) + WINDOW;
            assert!(gather.wait(request(lane, slot), until).is_none());
        }
        assert_eq!((gather.due(), gather.waiting()), (START + WINDOW, 3));
        assert!(gather.take_due(START + WINDOW - Duration::from_millis(1)).is_empty());
        assert_eq!(gather.take_due(START + WINDOW), [vec![request(1, 0), request(1, 1)]]);
        assert_eq!((gather.due(), gather.waiting()), (START + Duration::from_millis(50) + WINDOW, 1));
        assert_eq!(gather.take_due(MonoTime::FAR).len(), 1);
        assert_eq!(gather.due(), MonoTime::FAR);
    }

    #[test]
    fn one_that_must_not_wait_takes_those_along_that_do() {
        let mut gather = Gather::default();
        assert!(gather.wait(request(1, 0), START + WINDOW).is_none());
        assert!(gather.wait(request(1, 1), START).is_none());
        assert_eq!(gather.take_due(START), [vec![request(1, 0), request(1, 1)]]);
    }

    #[test]
    fn twenty_are_enough_and_another_token_is_another_batch() {
        let mut gather = Gather::default();
        for slot in 0..19 {
            assert!(gather.wait(request(1, slot), START + WINDOW).is_none());
        }
        assert_eq!(gather.wait(request(1, 19), START + WINDOW).map(|batch| batch.len()), Some(20));
        assert_eq!(gather.waiting(), 0);
        assert!(gather.wait(request(1, 0), START + WINDOW).is_none());
        let newer = Request { generation: Generation(2), ..request(1, 1) };
        assert_eq!(gather.wait(newer, START + WINDOW), Some(vec![request(1, 0)]));
        assert_eq!(gather.take_due(MonoTime::FAR), [vec![newer]]);
    }

    #[test]
    fn a_lane_where_batches_fail_is_left_alone_for_an_hour_and_that_is_news_once() {
        let (mut gather, now) = after_a_minute(20, 48, 1);
        assert!(gather.fails(LaneIx(3), now) && !gather.fails(LaneIx(3), now));
        assert!(!gather.takes(&request(3, 0), now) && gather.takes(&request(4, 0), now));
        let later = now + ALONE;
        assert!(gather.takes(&request(3, 0), later));
        assert!(!gather.fails(LaneIx(3), later), "still");
        gather.works(LaneIx(3));
        assert!(gather.takes(&request(3, 0), later));
        assert!(gather.fails(LaneIx(3), later), "again");
    }
}
