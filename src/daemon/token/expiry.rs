//! When credentials end, and when that is worth a line: 30, 14, 3 and 1 days ahead, and past it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::TokenSource;
use crate::config::settings::App;
use crate::keeper::id::LaneKey;

/// What ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// A client secret, on the day that the config says.
    Secret,
    /// A certificate, as it says itself.
    Certificate,
}

impl Ending {
    /// What it is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
        }
    }

    /// What to do before it ends.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Secret => {
                "make a new client secret, put it in the place of this one, and write its end into the app's \
                 secret_expires"
            }
            Self::Certificate => {
                "make a new certificate, upload it to the app registration, and put it with its key in the place of \
                 this one"
            }
        }
    }
}

/// The end of a credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// What ends.
    pub ending: Ending,
    /// When it is no good any more. Of a day, its end: a secret's hour is not known.
    pub at: Timestamp,
}

/// How near an end is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whole days that are left; below 0 when it is past.
    pub days_left: i64,
    /// The mark that was reached: as many days, or −1.
    mark: i64,
}

impl Notice {
    /// The days ahead at which an end is told of.
    const MARKS: [i64; 4] = [1, 3, 14, 30];
    /// From here on nothing else will do than to act.
    const URGENT: i64 = 3;

    /// What is to be told of an end at `now`; `None`: it is too far.
    #[must_use]
    pub fn of(end: Timestamp, now: Timestamp) -> Option<Self> {
        const DAY: i64 = 24 * 3600;
        let days_left = (end.as_second() - now.as_second()).div_euclid(DAY);
        let mark = if days_left < 0 { -1 } else { *Self::MARKS.iter().find(|mark| days_left <= **mark)? };
        Some(Self { days_left, mark })
    }

    /// Whether the daemon will soon not be able to do its work.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        self.mark <= Self::URGENT
    }
}

impl End {
    /// When the credential of an app ends, as far as that is known. Reads small files.
    #[must_use]
    pub fn of(app: &App, source: &TokenSource) -> Option<Self> {
        if let Some(at) = source.certificate_end() {
            return Some(Self { ending: Ending::Certificate, at });
        }
        let day = app.secret_expires.filter(|_| source.has_secret())?;
        Some(Self { ending: Ending::Secret, at: end_of(day) })
    }
}

/// A secret's day, and the second of a certificate.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ending {
            Ending::Secret => write!(f, "{}", TimeZone::UTC.to_datetime(self.at).date()),
            Ending::Certificate => write!(f, "{:.0}", self.at),
        }
    }
}

/// The last second of a day, UTC.
fn end_of(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.at(23, 59, 59, 0)).unwrap_or(Timestamp::MAX)
}

/// What was told already: each mark of each end once.
#[derive(Debug, Default)]
pub struct Told {
    marks: BTreeMap<LaneKey, (End, i64)>,
    ends: Arc<BTreeMap<LaneKey, End>>,
}

impl Told {
    /// All ends that are known, near or far.
    #[must_use]
    pub fn ends(&self) -> Arc<BTreeMap<LaneKey, End>> {
        Arc::clone(&self.ends)
    }

    /// What is known of the end of a lane's credential.
    pub fn know(&mut self, lane: &LaneKey, end: Option<End>) {
        if self.ends.get(lane).copied() == end {
            return;
        }
        let ends = Arc::make_mut(&mut self.ends);
        match end {
            Some(end) => ends.insert(lane.clone(), end),
            None => ends.remove(lane),
        };
    }

    /// What is to be told of a lane whose credential ends then, unless it was told.
    pub fn due(&mut self, lane: &LaneKey, end: End, wall: SystemTime) -> Option<Notice> {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = Timestamp::from_second(i64::try_from(since.as_secs()).ok()?).ok()?;
        let notice = Notice::of(end.at, now)?;
        let told = self.marks.insert(lane.clone(), (end, notice.mark));
        (told != Some((end, notice.mark))).then_some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn wall(text: &str) -> SystemTime {
        SystemTime::try_from(text.parse::<Timestamp>().unwrap()).unwrap()
    }

    fn lane(client: u128) -> LaneKey {
        LaneKey {
            graph: "https://graph.microsoft.com".into(),
            tenant: "9c7f0000-0000-4000-8000-000000000001".parse().unwrap(),
            client: format!("00000000-0000-0000-0000-{client:012x}").parse().unwrap(),
        }
    }

    fn secret(day: &str) -> End {
        End { ending: Ending::Secret, at: end_of(day.parse().unwrap()) }
    }

    #[test]
    fn a_daemon_that_runs_tells_each_mark_once_and_on_time() {
        let mut told = Told::default();
        let end = secret("2027-03-01");
        let mut lines = Vec::new();
        // Twice a day, from 40 days ahead to 3 days past.
        for half in 0..86 {
            let at = wall("2027-01-20T06:00:00Z") + Duration::from_secs(half * DAY / 2);
            if let Some(notice) = told.due(&lane(1), end, at) {
                lines.push((notice.days_left, notice.is_urgent()));
            }
        }
        assert_eq!(lines, [(30, false), (14, false), (3, true), (1, true), (-1, true)]);
    }

    #[test]
    fn a_start_tells_of_the_mark_that_is_reached_and_a_new_credential_is_a_new_matter() {
        let now = wall("2027-02-20T12:00:00Z");
        let mut told = Told::default();
        let days = |notice: Option<Notice>| notice.map(|notice| notice.days_left);
        assert_eq!(days(told.due(&lane(1), secret("2027-03-01"), now)), Some(9));
        assert_eq!(told.due(&lane(1), secret("2027-03-01"), now), None);
        assert_eq!(days(told.due(&lane(2), secret("2027-03-01"), now)), Some(9), "another lane");
        assert_eq!(told.due(&lane(1), secret("2028-03-01"), now), None);
        assert_eq!(days(told.due(&lane(1), secret("2027-02-21"), now)), Some(1));
        let certificate = End { ending: Ending::Certificate, at: secret("2027-02-21").at };
        assert_eq!(
            [secret("2027-02-21"), certificate].map(|end| end.to_string()),
            ["2027-02-21", "2027-02-21T23:59:59Z"]
        );
        assert_eq!(days(told.due(&lane(1), certificate, now)), Some(1));
    }

    #[test]
    fn a_day_counts_to_its_end_and_a_certificate_to_the_second() {
        let days = |end: Timestamp, now: &str| {
            Notice::of(end, now.parse().unwrap()).map(|n| (n.days_left, n.is_urgent()))
        };
        let day = end_of("2027-03-01".parse().unwrap());
        assert_eq!(days(day, "2027-01-29T00:00:00Z"), None);
        assert_eq!(days(day, "2027-01-30T00:00:00Z"), Some((30, false)));
        assert_eq!(days(day, "2027-02-25T00:00:00Z"), Some((4, false)));
        assert_eq!(days(day, "2027-02-26T00:00:00Z"), Some((3, true)));
        assert_eq!(days(day, "2027-03-01T00:00:00Z"), Some((0, true)));
        assert_eq!(days(day, "2027-03-01T23:59:59Z"), Some((0, true)));
        assert_eq!(days(day, "2027-03-02T00:00:00Z"), Some((-1, true)));
        let exact: Timestamp = "2027-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(days(exact, "2027-03-01T12:00:00Z"), Some((0, true)));
        assert_eq!(days(exact, "2027-03-01T12:00:01Z"), Some((-1, true)));
        assert_eq!(days(Timestamp::MAX, "2027-03-01T12:00:01Z"), None);
        assert!(days(Timestamp::MIN, "2027-03-01T12:00:01Z").unwrap().1);
    }
}
