//! `presenced release` and `resume`: hold nothing for a user, or anyone, until it is taken back.

use std::path::Path;
use std::process::ExitCode;

use reqwest::Method;

use super::{Control, PATIENCE, group, tell};
use crate::daemon::control::wire::{OverrideResult, ReleaseAsk};

/// Clears the sessions of a user, or of everyone, and holds none until `presenced resume`: over restarts, too.
#[derive(clap::Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// A user: object id, exact name or alias; or @GROUP, all members of a group of the config
    #[arg(value_name = "USER", required_unless_present = "all", conflicts_with = "all")]
    pub user: Option<String>,
    /// Everyone
    #[arg(long)]
    pub all: bool,
    /// The app, where the user is one of several
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub app: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Takes releases back: that of a user, or, without one, all of them.
#[derive(clap::Args, Clone, Debug)]
pub struct ResumeArgs {
    /// A user: object id, exact name or alias; or @GROUP, all members of a group of the config
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// The app, where the user is one of several
    #[arg(long, value_name = "NAME", requires = "user")]
    pub app: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    if let Some(name) = args.user.as_deref().and_then(group::named) {
        let (app, reason) = (args.app.as_deref(), args.reason.as_deref());
        return group::release(&Control::of(config)?, "release", name, (app, reason), args.json);
    }
    let ask = ReleaseAsk {
        user: args.user.clone(),
        app: args.app.clone(),
        all: args.all,
        reason: args.reason.clone(),
    };
    let whose = args.user.clone().unwrap_or_else(|| "everyone".to_owned());
    asked(config, "release", &ask, args.json, |changed| {
        if changed {
            format!("released: {whose}; nothing is held until `presenced resume`\n")
        } else {
            format!("{whose} was released already\n")
        }
    })
}

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn resume(config: &Path, args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    if let Some(name) = args.user.as_deref().and_then(group::named) {
        let app = args.app.as_deref();
        return group::release(&Control::of(config)?, "resume", name, (app, None), args.json);
    }
    let ask =
        ReleaseAsk { user: args.user.clone(), app: args.app.clone(), all: args.user.is_none(), reason: None };
    asked(config, "resume", &ask, args.json, |changed| {
        if changed { "resumed\n".to_owned() } else { "nobody was released\n".to_owned() }
    })
}

fn asked(
    config: &Path,
    path: &str,
    ask: &ReleaseAsk,
    json: bool,
    words: impl FnOnce(bool) -> String,
) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    let answer = control.ask(Method::POST, &[path], &[], Some(ask), PATIENCE);
    tell(answer, json, |result: &OverrideResult| {
        let mut text = words(result.changed);
        if result.kept == Some(false) {
            text.push_str("warning: it could not be kept on disk; a restart would not know it\n");
        }
        text
    })
}
