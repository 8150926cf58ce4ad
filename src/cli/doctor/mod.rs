//! `presenced doctor`: what will not work, before the first call: hosts, clock, credentials, permissions, users.

mod json;
mod progress;
mod text;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use super::exit;
use crate::config::settings::App;
use crate::config::{self, Loaded, Look};
use crate::daemon::clock::Clock;
use crate::daemon::doctor::{AppReport, Doctor};

/// Tries the config on the services, app by app: the login host and Graph, this machine's clock, the end of the
/// credential, a token and what it allows, and what others see of each user now. It reads, and sets nothing.
#[derive(clap::Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Only this app
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Examines the apps of the config at `config_path`, and prints what was found to standard output.
///
/// Returns exit code 0 where all of it works, 77 where a credential is refused, 3 where anything else does not work, 78
/// for a config that is not admitted, 2 for an app that is not in it.
///
/// # Errors
///
/// Standard output cannot be written to.
pub fn run(config_path: &Path, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    // Credentials are a matter of each app here: one that is missing must not hide what the others have.
    let loaded = match config::load(config_path, Look::Variables) {
        Ok(loaded) => loaded,
        Err(problems) => {
            writeln!(std::io::stderr(), "{}error: {}", problems.render(false), problems.summary())?;
            return Ok(exit::CONFIG.into());
        }
    };
    write!(std::io::stderr(), "{}", loaded.warnings.render(false))?;
    let apps = match chosen(&loaded, args.app.as_deref()) {
        Ok(apps) => apps,
        Err(what) => {
            writeln!(std::io::stderr(), "error: {what}")?;
            return Ok(exit::USAGE.into());
        }
    };
    let doctor = match Doctor::new(apps, &loaded.plan, &loaded.asks, &loaded.settings.network) {
        Ok(doctor) => doctor,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {:#}", anyhow::Error::from(error))?;
            return Ok(exit::CONFIG.into());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(progress::shown(doctor, &Clock::real()));
    // A disk that hangs under a credential must not hold up the end.
    runtime.shutdown_background();
    let mut out = std::io::stdout().lock();
    let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = if args.json {
        format!("{:#}\n", json::report(&found, &loaded))
    } else {
        text::render(&found, &loaded.settings, color)
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads along has seen enough; the exit code still tells.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(code_of(&found).into())
}

/// The apps that it is about.
fn chosen<'l>(loaded: &'l Loaded, name: Option<&str>) -> Result<Vec<&'l App>, String> {
    let apps = &loaded.settings.apps;
    let Some(name) = name else { return Ok(apps.iter().collect()) };
    let chosen: Vec<&App> = apps.iter().filter(|app| *app.name == *name).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = apps.iter().map(|app| &*app.name).take(10).collect();
        return Err(format!("no app of the config is called `{name}`; there is {}", names.join(", ")));
    }
    Ok(chosen)
}

fn code_of(found: &[AppReport]) -> u8 {
    if found.iter().any(|app| app.refused) {
        exit::REFUSED
    } else if found.iter().all(AppReport::is_well) {
        0
    } else {
        exit::NO
    }
}
