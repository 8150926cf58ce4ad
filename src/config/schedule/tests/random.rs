//! Rules at random in zones that are hard, held against the slow reading.
//!
//! `SCHEDULE_SEED=n` replays the rules of one seed in all zones; `SCHEDULE_CASES=n` takes the seeds from 0 to n.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{SignedDuration, Span};

use super::slow::{DAY, Rule, Track, days_before, timestamp};
use super::*;

/// Zones, each with the first of two years in which its clock does what it is here for.
const ZONES: [(&str, i16); 18] = [
    ("Europe/Berlin", 2026),
    ("America/New_York", 2026),
    // It changes at one minute past midnight.
    ("America/St_Johns", 2010),
    ("America/Havana", 2026),
    ("America/Santiago", 2023),
    // It changes at midnight, forwards and back over it.
    ("America/Asuncion", 2022),
    ("Africa/Cairo", 2023),
    ("Africa/Casablanca", 2026),
    ("Asia/Kathmandu", 1985),
    ("Asia/Pyongyang", 2015),
    ("Australia/Sydney", 2026),
    ("Australia/Lord_Howe", 2026),
    ("Pacific/Chatham", 2026),
    ("Pacific/Apia", 2011),
    ("Pacific/Kwajalein", 1993),
    // By two hours.
    ("Antarctica/Troll", 2026),
    // Winter time is what is put on.
    ("Europe/Dublin", 2027),
    // By the rule at the end of the data, around a 29 February.
    ("Europe/Berlin", 2095),
];
const SEEDS: u64 = 3;

/// A sequence of numbers that looks like chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ z >> 31) >> 2).unwrap() % bound
    }

    fn one_in(&mut self, many: i64) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(i64::try_from(all.len()).unwrap())).unwrap()]
    }

    /// A minute of the day, often near midnight, where clocks are changed.
    fn minute(&mut self) -> i64 {
        let bound = if self.one_in(2) { 240 } else { DAY };
        let minute = self.below(bound);
        if self.one_in(2) { minute / 15 * 15 } else { minute }
    }

    fn weekdays(&mut self) -> [bool; 7] {
        let one = self.below(7);
        std::array::from_fn(|day| i64::try_from(day).unwrap() == one || !self.one_in(3))
    }
}

/// A rule as text and as numbers.
fn rule(chance: &mut Chance) -> (Opens, Rule, String) {
    if chance.one_in(2) { window_rule(chance) } else { cron_rule(chance) }
}

fn window_rule(chance: &mut Chance) -> (Opens, Rule, String) {
    let mut rules: Vec<([bool; 7], i64, i64)> = Vec::new();
    let mut windows = Vec::new();
    for _ in 0..=chance.below(4) {
        let before = rules.last().map(|(_, _, to)| to % DAY).filter(|_| chance.one_in(3));
        let from = before.unwrap_or_else(|| chance.minute());
        let mut to = if chance.one_in(8) { DAY } else { chance.minute() };
        if to == from {
            to += 1;
        }
        let weekdays = chance.weekdays();
        let names = ["Mon", "tuesday", "WED", "Thu", "Fri", "Saturday", "sun"];
        let named: Vec<&str> =
            names.into_iter().zip(weekdays).filter(|(_, set)| *set).map(|(name, _)| name).collect();
        let time = |minute: i64| TimeOfDay::parse(&format!("{}:{:02}", minute / 60, minute % 60)).unwrap();
        windows.push(Window::new(Days::parse(&named.join(",")).unwrap(), time(from), time(to)).unwrap());
        rules.push((weekdays, from, to));
    }
    let text = windows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    (Opens::Windows(windows), Rule::Windows(rules), text)
}

/// A field of a pattern as text, and the numbers that it means.
fn field(chance: &mut Chance, least: i64, most: i64) -> (String, Vec<bool>) {
    let numbers = most - least + 1;
    let (one, other) = (least + chance.below(numbers), least + chance.below(numbers));
    let (low, high) = (one.min(other), one.max(other));
    let step = 1 + chance.below(numbers);
    let (text, set): (String, Box<dyn Fn(i64) -> bool>) = match chance.below(5) {
        0 => ("*".to_owned(), Box::new(|_| true)),
        1 => (one.to_string(), Box::new(move |n| n == one)),
        2 => (format!("{one},{other}"), Box::new(move |n| n == one || n == other)),
        3 => (format!("{low}-{high}"), Box::new(move |n| (low..=high).contains(&n))),
        _ => (format!("*/{step}"), Box::new(move |n| (n - least) % step == 0)),
    };
    (text, (0..=most).map(|n| n >= least && set(n)).collect())
}

fn cron_rule(chance: &mut Chance) -> (Opens, Rule, String) {
    let (minute, minutes) = field(chance, 0, 59);
    let (mut hour, mut hours) = field(chance, 0, 23);
    if chance.one_in(2) {
        // Where clocks are changed.
        let early = chance.below(4);
        hour = early.to_string();
        hours = (0..24).map(|n| n == early).collect();
    }
    let (date, dates) = if chance.one_in(3) { field(chance, 1, 31) } else { ("*".to_owned(), vec![]) };
    let (month, months) =
        if chance.one_in(4) { field(chance, 1, 12) } else { ("*".to_owned(), vec![true; 13]) };
    let weekdays = chance.one_in(2).then(|| chance.weekdays()).filter(|set| set.contains(&false));
    let weekday = weekdays.map_or("*".to_owned(), |set| {
        let named = ["1", "TUE", "3", "thu", "5", "6", if chance.one_in(2) { "0" } else { "7" }];
        named.into_iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name).collect::<Vec<_>>().join(",")
    });
    let lasting = match chance.below(3) {
        0 => chance.of(&[1, 2, 15, 30, 59, 60, 61, 120, DAY - 1, DAY, DAY + 60, 7 * DAY]),
        1 => 1 + chance.below(180),
        _ => 1 + chance.below(7 * DAY),
    };
    let pattern = format!("{minute} {hour} {date} {month} {weekday}");
    let start = CronStart::parse(&pattern).unwrap();
    let duration = Duration::from_secs(u64::try_from(lasting).unwrap() * 60);
    // A star among the days leaves the choice to the other field, and so does nothing at all.
    let dates = (date != "*").then_some(dates);
    let rule = Rule::Cron { minutes, hours, dates, months, weekdays, lasting };
    (Opens::Cron { start, duration }, rule, format!("{pattern} for {lasting} minutes"))
}

/// Exceptions, some of them where the clock jumps: as days from 1970-01-01, and as they are given.
fn exceptions(chance: &mut Chance, first: Date, track: &Track) -> (BTreeSet<i64>, Vec<DateRange>) {
    let mut days = BTreeSet::new();
    let mut ranges = Vec::new();
    for _ in 0..chance.below(12) {
        let mut from = first.saturating_add(Span::new().days(chance.below(730)));
        if chance.one_in(2) {
            let jump = timestamp(track.shown[chance.of(&track.jumps)]);
            from = jiff::tz::TimeZone::UTC
                .to_datetime(jump)
                .date()
                .saturating_sub(Span::new().days(chance.below(2)));
        }
        let last = from.saturating_add(Span::new().days(if chance.one_in(4) { chance.below(20) } else { 0 }));
        ranges.push(DateRange::new(from, last).unwrap());
        let number = |day: Date| days_before((day.year().into(), day.month().into(), day.day().into()));
        days.extend(number(from)..=number(last));
    }
    (days, ranges)
}

/// Which minutes are asked of: around the edges, all those near a jump and some of the others; and some in between.
fn asked(chance: &mut Chance, open: &[bool], track: &Track, skipped: usize) -> BTreeSet<usize> {
    const NEAR: usize = 2 * 24 * 60;
    const EDGES: i64 = 600;
    let edges: Vec<usize> = (1..open.len()).filter(|at| open[*at] != open[at - 1]).collect();
    let near = |at: usize| track.jumps.iter().any(|jump| at.abs_diff(*jump) < NEAR);
    let many = i64::try_from(edges.len()).unwrap();
    let mut asked = BTreeSet::new();
    for at in edges {
        if near(at) || chance.below(many) < EDGES {
            asked.extend([at - 1, at]);
        }
    }
    let length = i64::try_from(open.len()).unwrap();
    asked.extend((0..200).map(|_| usize::try_from(chance.below(length)).unwrap()));
    asked.retain(|at| (skipped..open.len() - skipped).contains(at));
    asked
}

/// Holds the rules of one seed in one zone against the slow reading; how often the answer was compared.
fn compare(zone_name: &str, first: Date, track: &Track, seed: u64) -> usize {
    const SKIPPED: usize = 10 * 24 * 60;
    let mut chance = Chance(
        seed ^ zone_name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into())),
    );
    let (opens, rule, text) = rule(&mut chance);
    let (excepted, ranges) = exceptions(&mut chance, first, track);
    let told = format!("SCHEDULE_SEED={seed}: {text} in {zone_name} from {first}, but for {ranges:?}");
    let timetable =
        Timetable::new(Arc::new(opens), Arc::new(ranges.into_iter().collect()), zone(zone_name).unwrap());
    let open = rule.read(track, &|day| excepted.contains(&day));
    // For each minute where the state next differs.
    let mut next = vec![None; open.len()];
    for at in (0..open.len() - 1).rev() {
        next[at] = if open[at] == open[at + 1] { next[at + 1] } else { Some(at + 1) };
    }
    let when = |at: usize| timestamp(track.first + i64::try_from(at).unwrap());
    let asked = asked(&mut chance, &open, track, SKIPPED);
    for at in &asked {
        let within = SignedDuration::from_millis(chance.below(60_000));
        for t in [when(*at), when(*at).checked_add(within).unwrap()] {
            let now = timetable.at(t);
            assert_eq!(now.open, open[*at], "{told}: open at {t}");
            match next[*at] {
                Some(next) => assert_eq!(now.until, Some(when(next)), "{told}: the edge after {t}"),
                None => {
                    assert!(
                        now.until.is_none_or(|until| until >= when(open.len())),
                        "{told}: {now:?} at {t}"
                    );
                }
            }
        }
    }
    asked.len() * 2
}

#[test]
fn at_random_no_minute_and_no_edge_differs_from_a_slow_reading() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match (number("SCHEDULE_SEED"), number("SCHEDULE_CASES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, many) => 0..many.unwrap_or(SEEDS),
    };
    println!("seeds {seeds:?} in {} zones", ZONES.len());
    let mut compared = 0;
    for (zone_name, year) in ZONES {
        let first = Date::new(year, 1, 1).unwrap();
        let start = days_before((year.into(), 1, 1)) * DAY;
        let end = days_before((i64::from(year) + 2, 1, 1)) * DAY;
        // Ten days more at both ends: what began before is open, and what is beyond has not been read.
        let track = Track::new(&zone(zone_name).unwrap(), start - 10 * DAY..end + 10 * DAY);
        assert!(!track.jumps.is_empty(), "the clock of {zone_name} does nothing from {year} on");
        compared += seeds.clone().map(|seed| compare(zone_name, first, &track, seed)).sum::<usize>();
    }
    println!("{compared} answers compared");
    assert!(compared > 200 * 2 * ZONES.len(), "the test asks as much as it means to: {compared}");
}
