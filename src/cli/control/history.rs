//! `presenced history`: who changed what.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::{Control, tell, time};
use crate::daemon::audit::Record;
use crate::daemon::control::wire::History;

/// Shows who set, unset, released and reloaded what, the oldest first. Thirty days are kept.
#[derive(clap::Args, Clone, Debug)]
pub struct HistoryArgs {
    /// Only what concerns this user
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// From when on: a span such as 24h or 7d, or a time such as 2026-11-25T08:00:00Z
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub since: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    let mut query = vec![("since", args.since.as_str())];
    query.extend(args.user.as_deref().map(|user| ("user", user)));
    tell(control.get(&["history"], &query), args.json, render)
}

fn render(history: &History) -> String {
    if history.records.is_empty() {
        return "nothing was changed in this time\n".to_owned();
    }
    history.records.iter().map(line).collect()
}

fn line(record: &Record) -> String {
    let mut text = format!("{}  {}", time(&record.at), record.action.word());
    // Writing to a String cannot fail.
    if let Some(user) = &record.user {
        let _ = write!(text, " {user}");
    }
    if let Some(group) = &record.group {
        let _ = write!(text, " @{group}");
    }
    if let Some(app) = &record.app {
        let _ = write!(text, " ({app})");
    }
    if let Some(source) = &record.source {
        let _ = write!(text, " {source}");
    }
    match (&record.before, &record.after) {
        (Some(before), Some(after)) => {
            let _ = write!(text, ": {before} -> {after}");
        }
        (_, Some(after)) => {
            let _ = write!(text, ": {after}");
        }
        _ => {}
    }
    if let Some(until) = &record.until {
        let _ = write!(text, " until {}", time(until));
    }
    let _ = write!(text, ", by {}", record.by);
    if let Some(reason) = &record.reason {
        let _ = write!(text, ": {reason}");
    }
    let _ = writeln!(text, " [{}]", record.config);
    text
}
