//! `presenced login APP`: signs in once as the user of an app, so that the daemon can go on as that user.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::exit;
use crate::config::settings::{App, Credential};
use crate::config::{self, Loaded, Look};
use crate::daemon::clock::Clock;
use crate::daemon::reload::stays_here;
use crate::daemon::token::device_code::{DeviceCode, LoginError};
use crate::daemon::token::{SignIn, prepare_place, store};
use crate::keeper::id::UserId;

/// Signs in once as the user of an app whose credential is `delegated`. A daemon that runs takes it within ten seconds.
#[derive(clap::Args, Clone, Debug)]
pub struct LoginArgs {
    /// The app's name in the config
    #[arg(value_name = "APP")]
    pub app: String,
    /// The clock runs this many times faster; every endpoint must be on loopback
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub speed: u32,
}

/// Signs in, and returns what the process ends with: 0, 69 for an authority that cannot be reached, 77 for a sign-in that
/// is refused, 78 for a config that has no such app, or none with a user.
///
/// # Errors
/// When the sign-in cannot be kept, or standard output cannot be written to.
pub fn run(config_path: &Path, args: &LoginArgs) -> anyhow::Result<ExitCode> {
    let mut err = std::io::stderr();
    // The secrets of other apps are no matter here.
    let loaded = match config::load(config_path, Look::Variables) {
        Ok(loaded) => loaded,
        Err(problems) => {
            write!(err, "{}", problems.render(false))?;
            writeln!(err, "error: {} in the config", problems.summary())?;
            return Ok(exit::CONFIG.into());
        }
    };
    write!(err, "{}", loaded.warnings.render(false))?;
    let (app, path) = match find(&loaded, &args.app) {
        Ok(found) => found,
        Err(why) => {
            writeln!(err, "error: {why}")?;
            return Ok(exit::CONFIG.into());
        }
    };
    if args.speed > 1 && !stays_here(app) {
        writeln!(err, "error: with --speed, Graph and login must be on loopback")?;
        return Ok(exit::USAGE.into());
    }
    // Before anyone signs in for nothing.
    prepare_place(path).with_context(|| unkept(path))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signed_in = runtime.block_on(sign_in(app, &loaded, args.speed));
    runtime.shutdown_background();
    let sign_in = match signed_in? {
        Ok(sign_in) => sign_in,
        Err(error) => {
            writeln!(err, "error: {error}")?;
            return Ok(code_of(&error).into());
        }
    };
    if let Some(expected) = app.user.filter(|user| *user != sign_in.user) {
        writeln!(
            err,
            "error: {} signed in, and the user of app {} in the config is {expected}; nothing was kept",
            sign_in.user, app.name
        )?;
        return Ok(exit::REFUSED.into());
    }
    store(path, &sign_in).with_context(|| unkept(path))?;
    say(&done(app, sign_in.user))?;
    Ok(ExitCode::SUCCESS)
}

/// The app, and where its sign-in is kept.
fn find<'l>(loaded: &'l Loaded, name: &str) -> Result<(&'l App, &'l Path), String> {
    let apps = &loaded.settings.apps;
    let Some(app) = apps.iter().find(|app| &*app.name == name) else {
        let delegated = apps.iter().filter(|app| matches!(app.credential, Credential::SignedIn(_)));
        let names: Vec<&str> = delegated.map(|app| &*app.name).collect();
        let hint = if names.is_empty() {
            "none of its apps has credential = { delegated = true }".to_owned()
        } else {
            format!("those with a user are: {}", names.join(", "))
        };
        return Err(format!("the config has no app {name}; {hint}"));
    };
    match &app.credential {
        Credential::SignedIn(path) => Ok((app, path)),
        _ => Err(format!(
            "app {name} has a credential of its own and needs no user; write credential = {{ delegated = true }} if it is \
             to act as one"
        )),
    }
}

async fn sign_in(app: &App, loaded: &Loaded, speed: u32) -> anyhow::Result<Result<SignIn, LoginError>> {
    let clock = Clock::accelerated(speed, Clock::todays_midnight());
    let code = match DeviceCode::begin(app, &loaded.settings.network, &clock).await {
        Ok(code) => code,
        Err(error) => return Ok(Err(error)),
    };
    say(&format!(
        "To sign in as the user of app {}, open\n\n    {}\n\nin any browser, and enter the code\n\n    {}\n\nIt is good for \
         {}. Sign in as the account whose presence is to be kept.\n",
        app.name,
        code.url,
        code.user_code,
        minutes(code.good_for)
    ))?;
    Ok(code.finish(&clock).await)
}

fn minutes(time: Duration) -> String {
    match time.as_secs() / 60 {
        0 => format!("{} seconds", time.as_secs()),
        1 => "one minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

fn done(app: &App, user: UserId) -> String {
    let next = match app.user {
        Some(_) => "A daemon that runs takes it within ten seconds.",
        None => "Put this user into the config, as the only one of this app.",
    };
    format!("Signed in: {user}, for app {}. {next}\n", app.name)
}

fn unkept(path: &Path) -> String {
    let state = path.parent().and_then(Path::parent).unwrap_or(path).display();
    format!(
        "the sign-in cannot be kept in {}; run this as the daemon's user or as root, once {state} is there: the daemon makes \
         it when it starts",
        path.display()
    )
}

const fn code_of(error: &LoginError) -> u8 {
    match error {
        LoginError::Network(_) => exit::CONFIG,
        LoginError::Unreachable(_) => exit::UNREACHABLE,
        LoginError::Refused(_) | LoginError::Declined | LoginError::Expired | LoginError::Unfit(_) => {
            exit::REFUSED
        }
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
