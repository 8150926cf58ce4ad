//! Wires the rooms together, one file a subcommand.

pub mod check;
pub mod completions;
pub mod control;
pub mod demo;
pub mod doctor;
pub mod login;
pub mod man;
pub mod people;
pub mod plan;
pub mod run;
pub mod sandbox;
pub mod schema;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the program is called.
const NAME: &str = "presenced";
/// Where the config is when nothing says otherwise.
const DEFAULT_CONFIG: &str = "/etc/presenced/config.toml";

/// What the process ends with. Scripts and unit files depend on these.
pub mod exit {
    /// A failure at run time.
    pub const FAILURE: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// The answer is no.
    pub const NO: u8 = 3;
    /// A service that cannot be reached.
    pub const UNREACHABLE: u8 = 69;
    /// A bug.
    pub const BUG: u8 = 70;
    /// Credentials that are refused.
    pub const REFUSED: u8 = 77;
    /// A config that is not admitted.
    pub const CONFIG: u8 = 78;
}

/// Keeps Microsoft Graph presence sessions alive.
#[derive(Parser, Debug)]
#[command(name = NAME, version, about, max_term_width = 100)]
pub struct Cli {
    /// The config file [default: /etc/presenced/config.toml; demo: the example, compiled in]
    #[arg(long, global = true, value_name = "PATH", env = "PRESENCED_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the daemon, in the foreground
    Run(run::RunArgs),
    /// Watch sessions being kept, without any set-up
    Demo(demo::DemoArgs),
    /// Say everything that is wrong with the config, without touching the network
    Check(check::CheckArgs),
    /// Work out what the config will cost: requests against quota, periods, and who is left out
    Plan(plan::PlanArgs),
    /// Try the config on the services, reading only: hosts, clock, tokens, permissions, users
    Doctor(doctor::DoctorArgs),
    /// Sign in once as the user of an app, by a code that is entered on another device
    Login(login::LoginArgs),
    /// Show how the running daemon and its sessions stand
    Status(control::status::StatusArgs),
    /// Say why a user is seen as they are, and which rule decides
    Why(control::why::WhyArgs),
    /// Show who changed what
    History(control::history::HistoryArgs),
    /// Have the running daemon look at the config again, and say what came of it
    Reload(control::reload::ReloadArgs),
    /// Show something else of a user for a while, whatever the config says
    Set(control::set::SetArgs),
    /// Take back what was set
    Unset(control::set::UnsetArgs),
    /// Clear sessions and hold none, until they are resumed
    Release(control::release::ReleaseArgs),
    /// Take releases back
    Resume(control::release::ResumeArgs),
    /// Say by the exit code whether the running daemon is well, for probes
    Health(control::health::HealthArgs),
    /// Serve the Graph sandbox alone, for any client
    Sandbox(sandbox::SandboxArgs),
    /// Print what a shell needs to complete commands and options
    ///
    /// For bash, for instance: presenced completions bash > /etc/bash_completion.d/presenced
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write it and one for each command into a directory
    ///
    /// What is printed is presenced(1), with all commands in it. Packages take --dir, so that `man presenced check`
    /// finds presenced-check(1), too.
    Man(man::ManArgs),
    /// Print the JSON Schema of the config, for editors
    ///
    /// An editor that knows TOML completes keys by it, and refuses unknown ones. Write it to config.schema.json beside
    /// the config; "#:schema ./config.schema.json" in the config's first line leads there. It is of draft 2020-12.
    Schema(schema::SchemaArgs),
}

impl Cli {
    /// Does what was asked for, and returns what the process ends with.
    ///
    /// # Errors
    /// What went wrong and has no exit code of its own: a failure at run time.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        let installed = config.unwrap_or(Path::new(DEFAULT_CONFIG));
        match self.command {
            Command::Run(args) => run::run(installed, &args),
            Command::Demo(args) => demo::run(config, &args),
            Command::Check(args) => check::run(installed, &args),
            Command::Plan(args) => plan::run(installed, &args),
            Command::Doctor(args) => doctor::run(installed, &args),
            Command::Login(args) => login::run(installed, &args),
            Command::Status(args) => control::status::run(installed, &args),
            Command::Why(args) => control::why::run(installed, &args),
            Command::History(args) => control::history::run(installed, &args),
            Command::Reload(args) => control::reload::run(installed, &args),
            Command::Set(args) => control::set::run(installed, &args),
            Command::Unset(args) => control::set::unset(installed, &args),
            Command::Release(args) => control::release::run(installed, &args),
            Command::Resume(args) => control::release::resume(installed, &args),
            Command::Health(args) => control::health::run(installed, &args),
            Command::Sandbox(args) => sandbox::run(args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
            Command::Schema(schema::SchemaArgs {}) => schema::run(),
        }
    }
}

/// Writes to standard output; whoever has read enough of it may go.
fn print(text: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
