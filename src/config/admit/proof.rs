//! Whether what proves an app is there, good, in force and well kept.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::apps::{AdmittedApp, Apps};
use super::azure;
use crate::config::certificate::{self, Certificate, CertificateError};
use crate::config::credential::Way;
use crate::config::environment::{Environment, is_bare};
use crate::config::private::Access;
use crate::config::problem::{Code, Problem};
use crate::config::secret::{self, SecretError, named};
use crate::config::settings::{CertificateFiles, Credential};
use crate::config::source::{Place, Placed};

/// An end that is as near as this, in days, or nearer, is told.
const NEAR_DAYS: i64 = 30;
const NEW_CERTIFICATE: &str = "make a new one, add it to the app registration, and put it in its place: it is used from \
                               the next token on";
const NEW_SECRET: &str =
    "make a new one, put it in its place, and write its day here: it is used from the next token on";

/// Looks at every credential once, whoever shares it.
pub(super) fn check(apps: &Apps, environment: &Environment<'_>, problems: &mut Vec<Problem>) {
    let (mut seen, mut days) = (HashSet::new(), HashSet::new());
    for app in apps.admitted() {
        if seen.insert(&app.app.credential) {
            problems.extend(of(app, environment));
        }
        if let (Some(day), Some(at), Some(now)) = (app.app.secret_expires, app.expires_at, environment.at)
            && days.insert(at)
        {
            problems.extend(secret_ends(at, day, now));
        }
    }
}

fn of(app: &AdmittedApp, environment: &Environment<'_>) -> Vec<Problem> {
    let one = match (&app.way, &app.app.credential) {
        (Way::SecretFile(written), Credential::SecretFile(path)) => match secret::read_file(path) {
            Ok(file) => exposed("secret", written.at, path, file.access),
            Err(error) => {
                Some(unusable("secret", written, Lack::of(&error), &error, advice(&error), environment))
            }
        },
        (Way::SecretEnv(written), Credential::SecretEnv(name)) => {
            let read = match (environment.var)(name) {
                Some(value) => secret::from_bytes(value.into_encoded_bytes()),
                None => Err(SecretError::NotSet(name.clone())),
            };
            let error = read.err();
            error.map(|error| {
                unusable("secret", written, Lack::of(&error), &error, advice(&error), environment)
            })
        }
        (Way::FederatedTokenFile(written), Credential::FederatedTokenFile(path)) => {
            secret::read_token_file(path).err().map(|error| {
                let problem =
                    unusable("token", written, Lack::of(&error), &error, advice(&error), environment);
                match environment.text(azure::TOKEN_FILE) {
                    Some(said) if said == *written.value => {
                        problem.help(format!("it is the file that {} names", azure::TOKEN_FILE))
                    }
                    _ => problem,
                }
            })
        }
        (Way::Certificate { certificate, key }, Credential::Certificate(files)) => {
            return certificate_of(certificate, key.as_ref(), files, environment);
        }
        (Way::SignedIn(at), Credential::SignedIn(path)) => not_signed_in(*at, &app.app.name, path),
        // There is nothing of a managed identity here.
        _ => None,
    };
    one.into_iter().collect()
}

fn certificate_of(
    written: &Placed<Box<str>>,
    key: Option<&Placed<Box<str>>>,
    files: &CertificateFiles,
    environment: &Environment<'_>,
) -> Vec<Problem> {
    let kept = match certificate::read_kept(files) {
        Ok(kept) => kept,
        Err(error) => {
            let of_key = files.key.as_deref() == Some(error.path());
            let (kind, file) = key.filter(|_| of_key).map_or(("certificate", written), |key| ("key", key));
            let lack = match error {
                CertificateError::Missing(_) => Lack::Missing,
                CertificateError::Forbidden(_) => Lack::Forbidden,
                _ => Lack::Another,
            };
            return vec![unusable(kind, file, lack, &error, error.advice(), environment)];
        }
    };
    let exposed = exposed("private key", key.unwrap_or(written).at, kept.key_file, kept.access);
    let force =
        environment.at.and_then(|now| in_force(written.at, &files.certificate, &kept.certificate, now));
    exposed.into_iter().chain(force).collect()
}

/// A warning where a certificate is not in force, or not for long.
fn in_force(at: Place, path: &Path, certificate: &Certificate, now: Timestamp) -> Option<Problem> {
    let (begin, end) = (certificate.not_before, certificate.not_after);
    let which = format!("the certificate {} ({})", named(path), certificate.subject);
    if now < begin {
        let message = format!("{which} is not in force before {}", day_of(begin));
        return Some(Problem::new(Code::NotInForce, at, message).help("is this machine's clock right?"));
    }
    if end < now {
        let message = format!("{which} ended on {}: no token is given for it", day_of(end));
        return Some(Problem::new(Code::NotInForce, at, message).help(NEW_CERTIFICATE));
    }
    let days = end.duration_since(now).as_hours() / 24;
    (days <= NEAR_DAYS).then(|| {
        let message = format!("{which} ends on {}{}", day_of(end), in_days(days));
        Problem::new(Code::CredentialEnds, at, message).help(NEW_CERTIFICATE)
    })
}

/// A warning where a client secret has ended, or will before long.
fn secret_ends(at: Place, day: Date, now: Timestamp) -> Option<Problem> {
    let days = day.duration_since(day_of(now)).as_hours() / 24;
    if days < 0 {
        let message = format!("the client secret ended on {day}: no token is given for it");
        return Some(Problem::new(Code::NotInForce, at, message).help(NEW_SECRET));
    }
    (days <= NEAR_DAYS).then(|| {
        let message = format!("the client secret ends on {day}{}", in_days(days));
        Problem::new(Code::CredentialEnds, at, message).help(NEW_SECRET)
    })
}

/// UTC.
fn day_of(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

fn in_days(days: i64) -> String {
    match days {
        0 => ", within a day".to_owned(),
        1 => ", in 1 day".to_owned(),
        _ => format!(", in {days} days"),
    }
}

/// Where this user may not look, the daemon says so later.
fn not_signed_in(at: Place, app: &str, path: &Path) -> Option<Problem> {
    path.try_exists().is_ok_and(|there| !there).then(|| {
        let message = format!("nobody has signed in for app `{app}` yet");
        Problem::new(Code::NotSignedIn, at, message)
            .help(format!("`presenced login {app}`, by the user whose presence it is"))
    })
}

fn exposed(what: &str, at: Place, path: &Path, access: Access) -> Option<Problem> {
    let why = access.exposure()?;
    let message = format!("the {what} {} is not well kept: {why}", named(path));
    let problem = Problem::new(Code::CredentialExposed, at, message);
    Some(problem.help("chmod 0400, owned by root or by the daemon's user"))
}

/// What may be otherwise where the daemon runs.
#[derive(Clone, Copy)]
enum Lack {
    Missing,
    Forbidden,
    NotSet,
    Another,
}

impl Lack {
    fn of(error: &SecretError) -> Self {
        match error {
            SecretError::Missing(_) => Self::Missing,
            SecretError::Forbidden(_) => Self::Forbidden,
            SecretError::NotSet(_) => Self::NotSet,
            SecretError::Unreadable { .. }
            | SecretError::Empty
            | SecretError::TooLarge
            | SecretError::NotOneWord
            | SecretError::NotAToken(_)
            | SecretError::NoSecret => Self::Another,
        }
    }
}

/// An error; a note where the service, which this process is not, may well have what is lacking.
fn unusable(
    kind: &str,
    written: &Placed<Box<str>>,
    lack: Lack,
    error: &dyn Display,
    advice: impl Into<String>,
    environment: &Environment<'_>,
) -> Problem {
    let elsewhere = !environment.in_unit();
    let bare = is_bare(&written.value);
    let (why, help) = match lack {
        Lack::Missing if elsewhere && bare => (
            "$CREDENTIALS_DIRECTORY is not set here, nor is it beside this file",
            "in the service, systemd's LoadCredential= provides it; without systemd, put it beside this file",
        ),
        Lack::Forbidden if elsewhere && bare => (
            "this user may not read it",
            "in the service, systemd's LoadCredential= provides it; without, the daemon's user must be able to",
        ),
        Lack::NotSet if elsewhere => {
            ("the variable is not set here", "it must be set in the service's environment")
        }
        Lack::Missing | Lack::Forbidden | Lack::NotSet | Lack::Another => {
            let problem = Problem::new(Code::CredentialUnusable, written.at, error.to_string());
            return problem.help(match lack {
                Lack::Missing => {
                    "create it, or check with --no-environment on a machine that has none".to_owned()
                }
                Lack::Forbidden => "run the check as the daemon's user, or with --no-environment".to_owned(),
                Lack::NotSet | Lack::Another => advice.into(),
            });
        }
    };
    let name = named(Path::new(written.value.as_ref()));
    let message = format!("the {kind} {name} is not checked: {why}");
    Problem::new(Code::CredentialNotHere, written.at, message).help(help)
}

/// What would be right.
fn advice(error: &SecretError) -> &'static str {
    match error {
        SecretError::Missing(_) | SecretError::Forbidden(_) | SecretError::Unreadable { .. } => {
            "it must be a regular file"
        }
        SecretError::NotSet(_) => "set it in the service's environment",
        SecretError::NotAToken(_) => {
            "see that it is the file into which the identity provider writes its token"
        }
        SecretError::Empty | SecretError::TooLarge | SecretError::NotOneWord | SecretError::NoSecret => {
            "write the value of the client secret into it, and nothing else"
        }
    }
}
