//! `presenced reload`: has the daemon look at its files again, and waits for what comes of it.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use reqwest::Method;

use super::{Control, RELOAD_PATIENCE, print, refuse};
use crate::cli::exit;
use crate::daemon::control::wire::{ReloadAsk, ReloadResult};

/// Has the running daemon look at the config again. Prints what it changed; or what is wrong with it, and ends with 78:
/// then everything goes on as before.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ReloadArgs {
    /// Removals that would wait (`max_removed`) are meant
    #[arg(long)]
    pub accept_shrink: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &ReloadArgs) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    let ask = ReloadAsk { accept_shrink: args.accept_shrink };
    let result: ReloadResult = match control.ask(Method::POST, &["reload"], &[], Some(&ask), RELOAD_PATIENCE)
    {
        Ok(result) => result,
        Err(refusal) => return refuse(&refusal),
    };
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&result)?))?;
    } else if result.taken {
        print(&render(&result))?;
    } else {
        let mut err = std::io::stderr();
        if let Some(diagnostics) = &result.diagnostics {
            write!(err, "{diagnostics}")?;
        }
        let what = match result.problems {
            0 => result.refused.clone().unwrap_or_default(),
            1 => "1 error in the config".to_owned(),
            problems => format!("{problems} errors in the config"),
        };
        writeln!(err, "error: {what}; config {} stays in force", result.config)?;
    }
    Ok(if result.taken { ExitCode::SUCCESS } else { exit::CONFIG.into() })
}

fn render(result: &ReloadResult) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for change in &result.changes {
        let _ = writeln!(text, "{change}");
    }
    let all = result.added + result.changed + result.removed;
    if all > result.changes.len() {
        let _ = writeln!(text, "and {} more", all - result.changes.len());
    }
    if let Some(first) = &result.first_warning {
        let _ =
            writeln!(text, "{} warnings (`presenced check` has all), the first: {first}", result.warnings);
    }
    if result.held > 0 {
        let _ = writeln!(
            text,
            "{} removals wait: if they are meant, `presenced reload --accept-shrink`",
            result.held
        );
    }
    let from = match &result.previous {
        Some(previous) if *previous != result.config => format!(" (before: {previous})"),
        _ => ", as before".to_owned(),
    };
    let _ = write!(
        text,
        "config {}{from}: {} added, {} changed, {} removed; {} sessions",
        result.config, result.added, result.changed, result.removed, result.sessions
    );
    if result.sets_done_in_s >= 5.0 {
        let _ = write!(text, "; all set within {:.0} s", result.sets_done_in_s);
    }
    text.push('\n');
    text
}
