//! `presenced health`: the exit code for a probe.

use std::path::Path;
use std::process::ExitCode;

use super::{Control, print, refuse};
use crate::cli::exit;
use crate::daemon::control::wire::Health;

/// Ends with 0 if the running daemon lives and is ready, with 3 if it is not, with 69 if it does not answer. It does not
/// depend on Graph: an outage must not restart a container.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct HealthArgs {
    /// Also end with 3 while a session is not held in time
    #[arg(long)]
    pub held: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    let health: Health = match control.get(&["health"], &[]) {
        Ok(health) => health,
        Err(refusal) => return refuse(&refusal),
    };
    print(&if args.json {
        format!("{}\n", serde_json::to_string_pretty(&health)?)
    } else {
        render(&health)
    })?;
    let well = health.live && health.ready && (health.held || !args.held);
    Ok(if well { ExitCode::SUCCESS } else { exit::NO.into() })
}

fn render(health: &Health) -> String {
    let word = |is: bool, yes: &str, no: &str| if is { yes.to_owned() } else { no.to_owned() };
    let mut text = format!(
        "{}, {}, {}\n",
        word(health.live, "live", "NOT LIVE"),
        word(health.ready, "ready", "not ready"),
        word(health.held, "every session held", "not every session held")
    );
    for reason in &health.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    text
}
