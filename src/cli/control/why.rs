//! `presenced why`: why a user is seen as they are.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::{Control, of_app, tell, who};
use crate::daemon::control::wire::Why;

/// Says what is wanted of a user and from which line, what is held, what others see, and which rule decides. It makes
/// one read on the service.
#[derive(clap::Args, Clone, Debug)]
pub struct WhyArgs {
    /// A user: object id, name or alias, or an unambiguous beginning of one
    #[arg(value_name = "USER")]
    pub user: String,
    /// Only this app
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Asks the daemon, and prints what it says.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(config: &Path, args: &WhyArgs) -> anyhow::Result<ExitCode> {
    let control = Control::of(config)?;
    let answer = control.get(&["users", &args.user, "why"], &of_app(args.app.as_deref()));
    tell(answer, args.json, render)
}

fn render(why: &Why) -> String {
    let mut text = format!("{}\n", who(why.user.name.as_deref(), &why.user.user));
    for reasons in &why.why {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\napp {}", reasons.app);
        for sentence in &reasons.explanation {
            let _ = writeln!(text, "  {sentence}");
        }
        if let Some(why) = &reasons.not_read {
            let _ = writeln!(text, "  What others see is not known: {why}.");
        }
        for advice in &reasons.advice {
            let _ = writeln!(text, "  -> {advice}");
        }
    }
    text
}
