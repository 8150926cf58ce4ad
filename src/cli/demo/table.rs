//! What the audience sees: a table, drawn anew five times a second on a terminal, and a line now and then elsewhere.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Outcome;
use crate::config::Loaded;
use crate::config::settings::Person;
use crate::daemon::driver::Daemon;
use crate::keeper::id::{LaneKey, SessionIx, UserId};
use crate::keeper::{MonoTime, Query, SessionView, Snapshot};
use crate::sandbox::presence::Shown;
use crate::sandbox::service::Service;

/// More sessions than this are counted, not shown.
const ROWS: usize = 24;
/// Where there is no terminal, one line in so much of the service's time.
const LINE_EVERY: Duration = Duration::from_secs(300);
const BAR: usize = 20;

/// The table, and who is in it.
pub(super) struct Table {
    shown: bool,
    terminal: bool,
    people: std::collections::HashMap<UserId, Person>,
    drawn: usize,
    began: Option<MonoTime>,
    next_line: Option<MonoTime>,
}

impl Table {
    pub(super) fn new(loaded: &Loaded, shown: bool, terminal: bool) -> Self {
        let people = loaded.settings.people.clone();
        Self { shown, terminal, people, drawn: 0, began: None, next_line: None }
    }

    /// Draws how things stand now.
    pub(super) async fn draw(
        &mut self,
        daemon: &Daemon,
        service: &Mutex<Service>,
        now: MonoTime,
        note: String,
    ) -> std::io::Result<()> {
        let began = *self.began.get_or_insert(now);
        if !self.shown {
            return Ok(());
        }
        let snapshot = daemon.figures().borrow().snapshot.clone();
        if !self.terminal {
            return self.line(&snapshot, now.since(began), now, &note);
        }
        let page = daemon.sessions(Query { from: SessionIx::FIRST, limit: ROWS }).await;
        let mut text = heading(&snapshot, now.since(began));
        {
            let service = service.lock().unwrap_or_else(PoisonError::into_inner);
            for session in &page.sessions {
                let lane = snapshot.lanes.iter().find(|lane| lane.lane == session.session.lane);
                let seen = lane.map_or(Shown::OFFLINE, |lane| seen(&service, &lane.key, session.user, now));
                row(&mut text, &self.name(session.user), session, &seen, now);
            }
        }
        if page.next.is_some() {
            text.push_str("  ... and more\n");
        }
        let _ = write!(text, "\n{note}\n");
        self.redraw(&text)
    }

    fn line(&mut self, snapshot: &Snapshot, at: Duration, now: MonoTime, note: &str) -> std::io::Result<()> {
        if self.next_line.is_some_and(|next| now < next) {
            return Ok(());
        }
        self.next_line = Some(now + LINE_EVERY);
        writeln!(std::io::stdout(), "{} {}", sums(snapshot, at), note.trim_start())
    }

    /// Writes over what was drawn before.
    fn redraw(&mut self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        for line in text.lines() {
            writeln!(out, "\x1b[2K{line}")?;
        }
        // What a shorter table leaves of a longer one.
        write!(out, "\x1b[J")?;
        self.drawn = text.lines().count();
        out.flush()
    }

    fn name(&self, user: UserId) -> String {
        let named = self.people.get(&user).and_then(|person| person.name.as_deref());
        named.map_or_else(|| user.to_string(), str::to_owned)
    }
}

/// The end, in words.
pub(super) fn closing(outcome: &Outcome) -> String {
    let Outcome { sessions, held, lapses, renewals, refused, virtual_seconds } = outcome;
    let verdict = match lapses {
        0 => "no session lapsed".to_owned(),
        1 => "1 session lapsed once".to_owned(),
        n => format!("sessions lapsed {n} times"),
    };
    format!(
        "\nIn {} of Graph's time {held} of {sessions} sessions were held: {renewals} renewals, {refused} refused, {verdict}.\n",
        clock(Duration::from_secs(*virtual_seconds))
    )
}

fn sums(snapshot: &Snapshot, at: Duration) -> String {
    let add = |count: fn(&crate::keeper::LaneSnapshot) -> u64| snapshot.lanes.iter().map(count).sum::<u64>();
    format!(
        "{}  {} of {} sessions held, {} renewals, {} lapses",
        clock(at),
        add(|lane| lane.held.into()),
        add(|lane| lane.sessions.into()),
        add(|lane| lane.renewals),
        add(|lane| lane.lapses),
    )
}

fn heading(snapshot: &Snapshot, at: Duration) -> String {
    format!(
        "presenced demo, 60 times faster than real time\n{}\n\n  {:<22} {:<26} {:<26} {:<29} {:>8}\n",
        sums(snapshot, at),
        "user",
        "wanted",
        "others see",
        "until it lapses",
        "renewals"
    )
}

fn row(text: &mut String, name: &str, session: &SessionView, seen: &Shown, now: MonoTime) {
    let wanted = session.wish.map_or_else(|| "no session".to_owned(), |wish| wish.state.to_string());
    let seen = format!("{}/{}", seen.availability, seen.activity);
    let as_wanted = session.wish.is_none() || seen == wanted;
    let bar = match (session.wish, session.lapses_at) {
        (Some(wish), Some(lapses_at)) => bar(lapses_at.since(now), wish.term()),
        _ => String::new(),
    };
    let mark = if as_wanted { ' ' } else { '*' };
    let name: String = name.chars().take(22).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{mark} {name:<22} {wanted:<26} {seen:<26} {bar:<29} {:>8}", session.renewals);
}

/// The time that is left, as a bar of the whole term and in words.
fn bar(left: Duration, term: Duration) -> String {
    let share = (left.as_secs_f64() / term.as_secs_f64()).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the bar's length")]
    let full = (share * BAR as f64).ceil() as usize;
    format!("{}{} {:>7}", "█".repeat(full), "░".repeat(BAR - full), clock(left))
}

/// Hours, minutes and seconds, as far as there are any.
fn clock(span: Duration) -> String {
    let secs = span.as_secs();
    match (secs / 3_600, secs / 60 % 60, secs % 60) {
        (0, minutes, secs) => format!("{minutes}:{secs:02}"),
        (hours, minutes, secs) => format!("{hours}:{minutes:02}:{secs:02}"),
    }
}

fn seen(service: &Service, key: &LaneKey, user: UserId, now: MonoTime) -> Shown {
    let uuid = |id: &UserId| Uuid::from_bytes(*id.as_bytes());
    service.shown(now, uuid(&key.tenant), uuid(&user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_share_that_is_left() {
        let secs = Duration::from_secs;
        assert_eq!(bar(secs(300), secs(300)), format!("{}    5:00", "█".repeat(20)));
        assert_eq!(bar(secs(150), secs(300)), format!("{}{}    2:30", "█".repeat(10), "░".repeat(10)));
        assert_eq!(bar(secs(0), secs(300)), format!("{}    0:00", "░".repeat(20)));
        assert_eq!(bar(secs(14_400), secs(14_400)).trim_start_matches('█'), " 4:00:00");
    }

    #[test]
    fn the_end_says_whether_a_session_lapsed() {
        let outcome =
            Outcome { sessions: 11, held: 11, lapses: 0, renewals: 120, refused: 0, virtual_seconds: 1_800 };
        let text = closing(&outcome);
        assert!(text.contains("In 30:00 of Graph's time 11 of 11 sessions were held"), "{text}");
        assert!(text.contains("no session lapsed"));
    }
}
