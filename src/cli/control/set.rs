//! `presenced set` and `unset`: the operator's own override of a user.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, ZonedDateTime};
use reqwest::Method;

use super::{Control, PATIENCE, group, of_app, span, tell, time, who};
use crate::cli::exit;
use crate::daemon::clock::Clock;
use crate::daemon::control::wire::{OverrideResult, PutOverride, Ttl, User};
use crate::daemon::overrides::Source;

/// Shows something else of a user for a while, whatever the config, calls or schedules say. Ends by itself; without
/// `--for` or `--until`, after eight hours.
#[derive(clap::Args, Clone, Debug)]
pub struct SetArgs {
    /// A user: object id, exact name or alias; or @GROUP, all members of a group of the config
    #[arg(value_name = "USER")]
    pub user: String,
    /// Available, Busy, Away, DoNotDisturb, or none
    #[arg(value_name = "AVAILABILITY")]
    pub availability: String,
    /// With Busy: InACall or InAConferenceCall
    #[arg(value_name = "ACTIVITY")]
    pub activity: Option<String>,
    /// For how long, 1 s to 7 d, such as 30m
    #[arg(long = "for", value_name = "SPAN", conflicts_with = "until")]
    pub span: Option<String>,
    /// Until when: a time of day here, such as 18:00, or "2026-11-25 18:00", or 2026-11-25T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The app, where the user is one of several
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Takes back what `set` has set; calls and the config have their say again.
#[derive(clap::Args, Clone, Debug)]
pub struct UnsetArgs {
    /// A user: object id, exact name or alias; or @GROUP, all members of a group of the config
    #[arg(value_name = "USER")]
    pub user: String,
    /// The app, where the user is one of several
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How long to wait until the service has it, look by look.
const LOOKS: u32 = 20;
const GLANCE: Duration = Duration::from_millis(100);

/// Asks the daemon, waits a moment for the service, and prints what came of it.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &SetArgs) -> anyhow::Result<ExitCode> {
    let clock = Clock::real();
    let ttl = match ttl(args, clock.wall()) {
        Ok(ttl) => ttl,
        Err(why) => {
            use std::io::Write;
            writeln!(std::io::stderr(), "error: {why}")?;
            return Ok(exit::USAGE.into());
        }
    };
    let control = Control::of(config)?;
    let ask = PutOverride {
        availability: args.availability.clone(),
        activity: args.activity.clone(),
        ttl,
        priority: 0,
        reason: args.reason.clone(),
    };
    let query = of_app(args.app.as_deref());
    if let Some(name) = group::named(&args.user) {
        let path = (name, &["overrides", Source::OPERATOR][..]);
        let answer = group::steer(&control, Method::PUT, path, args.app.as_deref(), Some(&ask));
        return group::told(answer, args.json, group::set_text);
    }
    let path = ["overrides", &args.user, Source::OPERATOR];
    let answer = control.ask(Method::PUT, &path, &query, Some(&ask), PATIENCE);
    let shown = match &answer {
        Ok(_) if args.json => None,
        Ok(result) => is_shown(&control, &clock, result),
        Err(_) => None,
    };
    tell(answer, args.json, |result: &OverrideResult| render(result, shown))
}

/// Takes the operator's override back.
///
/// # Errors
/// When standard output cannot be written to.
pub fn unset(config: &Path, args: &UnsetArgs) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    if let Some(name) = group::named(&args.user) {
        let path = (name, &["overrides", Source::OPERATOR][..]);
        let answer = group::steer(&control, Method::DELETE, path, args.app.as_deref(), None::<&()>);
        return group::told(answer, args.json, |result| {
            format!("taken back for {}{}", group::changed(result), group::others(result, "config"))
        });
    }
    let path = ["overrides", &args.user, Source::OPERATOR];
    let answer = control.ask(Method::DELETE, &path, &of_app(args.app.as_deref()), None::<&()>, PATIENCE);
    tell(answer, args.json, |result: &OverrideResult| {
        if !result.changed {
            return format!("nothing was set; what holds is {}\n", holds(&result.holds));
        }
        format!("taken back; what holds is {}\n", holds(&result.holds))
    })
}

fn holds(holds: &str) -> &str {
    if holds == "config" { "the config" } else { holds }
}

/// Whether the service has granted what was set; `None`: nothing is to be granted, or it is not known.
fn is_shown(control: &Control, clock: &Clock, result: &OverrideResult) -> Option<bool> {
    let over = result.over.as_ref().filter(|over| over.holds)?;
    for _ in 0..LOOKS {
        let user: User = control.get(&["users", &over.user], &[("app", &over.app)]).ok()?;
        let brief = &user.sessions.first()?.brief;
        let none = over.wanted == "none";
        if brief.wanted == over.wanted
            && (none && brief.granted.is_none() || brief.granted.as_ref() == Some(&over.wanted))
            && matches!(brief.state.as_str(), "held" | "none")
        {
            return Some(true);
        }
        control.runtime.block_on(clock.sleep(GLANCE));
    }
    Some(false)
}

fn render(result: &OverrideResult, shown: Option<bool>) -> String {
    let Some(over) = &result.over else { return "nothing was set\n".to_owned() };
    let mut text = format!(
        "{}, app {}: {} until {} ({} more)",
        who(over.name.as_deref(), &over.user),
        over.app,
        over.wanted,
        time(&over.ends_at),
        span(over.ends_in_s)
    );
    match shown {
        Some(true) => text.push_str("; the service has it"),
        Some(false) => text.push_str("; the service does not have it yet: `presenced status USER` says why"),
        None if !over.holds => {
            text = format!("{text}; it does not hold: {} does", result.holds);
        }
        None => {}
    }
    if result.kept == Some(false) {
        text.push_str("\nwarning: it could not be kept on disk; a restart would not know it");
    }
    text.push('\n');
    text
}

/// How long it is to last.
fn ttl(args: &SetArgs, wall: SystemTime) -> Result<Option<Ttl>, String> {
    match (&args.span, &args.until) {
        (Some(span), _) => Ok(Some(Ttl::Text(span.clone()))),
        (None, Some(until)) => {
            let now = Timestamp::try_from(wall).map_err(|error| error.to_string())?;
            let left = left_until(until, &now.to_zoned_datetime(TimeZone::system()))?;
            let seconds = u64::try_from(left.as_secs()).unwrap_or(0);
            Ok(Some(Ttl::Seconds(seconds)))
        }
        (None, None) => Ok(None),
    }
}

/// From now until a time of day, today or tomorrow, or until a time of a day here, or a moment.
fn left_until(until: &str, now: &ZonedDateTime) -> Result<SignedDuration, String> {
    // A time of a day would be read as one of today, too.
    let here = until.parse::<DateTime>().ok().and_then(|at| now.time_zone().to_timestamp(at).ok());
    if let Some(at) = until.parse::<Timestamp>().ok().or(here) {
        let left = at.duration_since(now.timestamp());
        if left.is_negative() {
            return Err(format!("--until {until}: that is past"));
        }
        return Ok(left);
    }
    let at: Time = until.parse().map_err(|_| {
        format!("--until {until}: write a time of day such as 18:00, or 2026-11-25T18:00:00Z")
    })?;
    let zoned = |day: jiff::civil::Date| day.to_datetime(at).to_zoned_datetime(now.time_zone().clone());
    let today = zoned(now.date()).map_err(|error| error.to_string())?;
    let next = if today > *now {
        today
    } else {
        zoned(now.date().saturating_add(1.day())).map_err(|error| error.to_string())?
    };
    Ok(next.duration_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one_and_a_moment_is_itself() {
        let now: ZonedDateTime = "2026-10-24T17:30:00+02:00[Europe/Berlin]".parse().unwrap();
        let minutes = |until: &str| left_until(until, &now).map(|left| left.as_mins());
        assert_eq!(minutes("18:00"), Ok(30));
        assert_eq!(minutes("17:30"), Ok(25 * 60), "tomorrow, over the end of summer time");
        assert_eq!(minutes("2026-10-24T16:00:00Z"), Ok(30));
        assert!(minutes("2026-10-24T15:00:00Z").is_err());
        assert_eq!(minutes("2026-10-25 18:00"), Ok(25 * 60 + 30), "not today");
        assert!(minutes("six").unwrap_err().contains("18:00"));
    }
}
