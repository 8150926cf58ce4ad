//! `presenced status`: how the daemon stands, or one user in full.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::{Control, Refusal, group, of_app, print, refuse, span, table, tell, time, who};
use crate::daemon::clock::Clock;
use crate::daemon::control::wire::{App, Brief, Counts, Group, Released, Session, Status, User};

/// Shows how the running daemon stands: its apps, and the sessions that stand worst; or one user in full.
#[derive(clap::Args, Clone, Debug)]
pub struct StatusArgs {
    /// A user: object id, name or alias, or an unambiguous beginning of one; or @GROUP, all members of a group
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// Only this app
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Show it again every second, until it is interrupted
    #[arg(long)]
    pub watch: bool,
}

/// To the corner of the screen, and what was on it erased.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    if !args.watch {
        return match &args.user {
            None => tell(whole(&control, args), args.json, render),
            Some(user) if let Some(name) = group::named(user) => {
                tell(members(&control, name, args), args.json, group::status_text)
            }
            Some(user) => tell(one(&control, user, args), args.json, user_text),
        };
    }
    let clock = Clock::real();
    loop {
        let text = match &args.user {
            None => whole(&control, args).map(|status| shown(&status, args, render)),
            Some(user) if let Some(name) = group::named(user) => {
                members(&control, name, args).map(|group| shown(&group, args, group::status_text))
            }
            Some(user) => one(&control, user, args).map(|user| shown(&user, args, user_text)),
        };
        match text {
            Ok(text) => print(&text)?,
            Err(refusal) => return refuse(&refusal),
        }
        control.runtime.block_on(clock.sleep(Duration::from_secs(1)));
    }
}

/// One picture of several: JSON a line each, text each in the place of the one before it.
fn shown<T: serde::Serialize>(answer: &T, args: &StatusArgs, words: impl Fn(&T) -> String) -> String {
    if args.json {
        format!("{}\n", serde_json::to_string(answer).unwrap_or_default())
    } else {
        format!("{CLEAR}{}", words(answer))
    }
}

fn whole(control: &Control, args: &StatusArgs) -> Result<Status, Refusal> {
    control.get(&["status"], &of_app(args.app.as_deref()))
}

fn one(control: &Control, user: &str, args: &StatusArgs) -> Result<User, Refusal> {
    control.get(&["users", user], &of_app(args.app.as_deref()))
}

fn members(control: &Control, name: &str, args: &StatusArgs) -> Result<Group, Refusal> {
    control.get(&["groups", name], &of_app(args.app.as_deref()))
}

fn render(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "presenced {}, pid {}, {} since {}; config {}",
        status.version,
        status.pid,
        status.stage,
        time(&status.started),
        status.config
    );
    let _ = writeln!(text, "{}", summary(&status.sessions, status.overrides));
    if let Some(trouble) = &status.config_trouble {
        let _ = writeln!(text, "CONFIG: {trouble}");
    }
    if let Some(refused) = status.last_reload.as_ref().and_then(|reload| reload.refused.as_ref()) {
        let at = status.last_reload.as_ref().map(|reload| time(&reload.at)).unwrap_or_default();
        let _ = writeln!(text, "The last reload, at {at}, was refused: {refused}");
    }
    match status.released {
        Some(Released::All) => {
            let _ = writeln!(text, "RELEASED: nothing is held for anyone until `presenced resume`");
        }
        Some(Released::Users(users)) => {
            let _ = writeln!(text, "{users} users are released until `presenced resume`");
        }
        None => {}
    }
    text.push('\n');
    let head = [
        "APP",
        "SESSIONS",
        "HELD",
        "LATE",
        "LAPSED",
        "PENDING",
        "PARKED",
        "QUOTA",
        "LAPSE IN",
        "TOKEN",
        "CREDENTIAL",
    ];
    text.push_str(&table(&head, &status.apps.iter().map(row).collect::<Vec<_>>()));
    for app in &status.apps {
        if let Some(words) = standing(app) {
            let _ = writeln!(text, "{}: {words}", app.app);
        }
    }
    if !status.worst.is_empty() {
        let _ = writeln!(text, "\nNot as wanted:");
        for brief in &status.worst {
            let _ = writeln!(text, "  {}", brief_line(brief));
        }
    }
    text
}

pub(super) fn summary(of: &Counts, overrides: usize) -> String {
    let mut text = format!("{} of {} sessions held", of.held, of.wanted);
    for (count, what) in [
        (of.late, "late"),
        (of.lapsed, "lapsed"),
        (of.pending, "pending"),
        (of.parked, "refused by Graph"),
        (of.unfunded, "beyond the quota"),
        (of.clearing, "to be cleared"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    match overrides {
        0 => {}
        1 => text.push_str("; 1 override"),
        overrides => {
            let _ = write!(text, "; {overrides} overrides");
        }
    }
    text
}

fn row(app: &App) -> Vec<String> {
    let of = &app.sessions;
    let quota = 100.0 * f64::from(app.quota_used) / f64::from(app.quota.max(1));
    vec![
        app.app.clone(),
        of.wanted.to_string(),
        of.held.to_string(),
        of.late.to_string(),
        of.lapsed.to_string(),
        of.pending.to_string(),
        of.parked.to_string(),
        format!("{quota:.0}%"),
        app.next_lapse_in_s.map_or_else(|| "-".to_owned(), span),
        app.token_good_for_s.map_or_else(|| "none".to_owned(), span),
        app.credential_ends.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// What is wrong with an app; `None`: nothing is.
fn standing(app: &App) -> Option<String> {
    Some(match app.standing.as_str() {
        "closed" => format!("closed for {} by a 429", span(app.closed_for_s.unwrap_or_default())),
        "probing" => "no answer from Graph: one request at a time until one is granted".to_owned(),
        "parked" => "every user is refused: one request now and then".to_owned(),
        "no_token" => "no token: see the log, and `presenced doctor`".to_owned(),
        _ => return None,
    })
}

/// A session in one line.
pub(super) fn brief_line(brief: &Brief) -> String {
    let who = who(brief.name.as_deref(), &brief.user);
    let reason = brief.reason.as_deref().unwrap_or(&brief.state);
    format!("{who}, app {}: wants {}; {reason}", brief.app, brief.wanted)
}

fn user_text(user: &User) -> String {
    let mut text = format!("{}\n", who(user.name.as_deref(), &user.user));
    if !user.aliases.is_empty() {
        let _ = writeln!(text, "also called {}", user.aliases.join(", "));
    }
    for session in &user.sessions {
        text.push('\n');
        session_text(&mut text, session);
    }
    text
}

/// A session in full, a line for each thing.
fn session_text(text: &mut String, session: &Session) {
    let brief = &session.brief;
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<14}{value}");
    };
    line("app", &brief.app);
    line("wanted", &format!("{} (because: {})", brief.wanted, brief.because));
    if brief.because != "config" && !brief.because.starts_with("schedule:") {
        line("config wants", &session.planned);
    }
    if session.schedule.is_some() || session.until.is_some() {
        let mut text = session.schedule.clone().unwrap_or_else(|| "none is open".to_owned());
        if let (Some(until), Some(then)) = (&session.until, &session.then) {
            // Writing to a String cannot fail.
            let _ = write!(text, " until {}, then {then}", time(until));
        }
        line("schedule", &text);
    }
    if !session.groups.is_empty() {
        line("groups", &session.groups.join(", "));
    }
    line("state", brief.reason.as_ref().unwrap_or(&brief.state));
    if let (Some(granted), Some(lapses)) = (&brief.granted, brief.lapses_in_s) {
        let when = if lapses >= 0.0 {
            format!("lapses in {}", span(lapses))
        } else {
            format!("lapsed {} ago", span(-lapses))
        };
        line("granted", &format!("{granted}, {when}"));
    }
    if let Some(sent) = &session.sent {
        line("sent", &time(sent));
    }
    let next = match session.next_in_s {
        Some(secs) => format!("{} in {}", session.next, span(secs)),
        None => session.next.clone(),
    };
    line("next", &next);
    line("renewals", &session.renewals.to_string());
    if let Some(answer) = &session.last_answer {
        let cause = answer.cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        let id = answer.request_id.as_deref().map(|id| format!(", request-id {id}")).unwrap_or_default();
        line("last answer", &format!("{}{cause} at {}{id}", answer.outcome, time(&answer.at)));
    }
    if let Some(release) = &session.released {
        let why = release.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        line("released", &format!("by {} at {}{why}", release.by, time(&release.since)));
    }
    for over in &session.overrides {
        let why = over.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let holds = if over.holds { "" } else { " (does not hold)" };
        line(
            "override",
            &format!(
                "{}, {} for {} more, priority {}, by {}{why}{holds}",
                over.source,
                over.wanted,
                span(over.ends_in_s),
                over.priority,
                over.by
            ),
        );
    }
    for moment in &session.today {
        let shows = moment.shows.as_deref().unwrap_or(&moment.state);
        let over = if moment.overridden { " (override)" } else { "" };
        let late = if moment.state == "late" { " (late)" } else { "" };
        line("today", &format!("{}  {shows}{over}{late}", time(&moment.at)));
    }
}
