//! What is looked at outside the files: secrets and certificates. And whether the plan fits.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::apps::{AdmittedApp, Apps};
use crate::config::environment::{Environment, is_bare};
use crate::config::file::Contents;
use crate::config::problem::{Code, Problem, shown_path};
use crate::config::secret::{self, SecretError};
use crate::config::settings::{Credential, Network};
use crate::config::source::open_regular;
use crate::keeper::Plan;
use crate::keeper::forecast::{LaneForecast, forecast};
use crate::keeper::funding;

/// The largest CA file. All public authorities together take 0.3 MB.
const CA_BYTES_MAX: u64 = 16 << 20;

pub(super) fn environment(
    main: &Contents,
    network: &Network,
    apps: &Apps,
    environment: &Environment<'_>,
    problems: &mut Vec<Problem>,
) {
    let mut seen = HashSet::new();
    for app in apps.admitted() {
        let credential = match &app.app.credential {
            Credential::SecretFile(path) => path.to_string_lossy().into_owned(),
            Credential::SecretEnv(name) => format!("${name}"),
            _ => continue,
        };
        if seen.insert(credential) {
            problems.extend(secret(app, environment));
        }
    }
    if let (Some(path), Some(written)) = (&network.ca_file, main.network.ca_file.given())
        && let Err(why) = certificates(path)
    {
        let message = format!("no certificate in {}: {why}", shown_path(path));
        problems.push(
            Problem::new(Code::CaFile, written.at, message).help("a PEM file of CA certificates is needed"),
        );
    }
}

fn secret(app: &AdmittedApp, environment: &Environment<'_>) -> Option<Problem> {
    let at = app.written.at;
    let elsewhere = !environment.in_unit();
    let error = match &app.app.credential {
        Credential::SecretFile(path) => match secret::read_file(path) {
            Ok(file) => {
                let why = file.access.exposure()?;
                let message = format!("the secret {} is not well kept: {why}", secret::named(path));
                let problem = Problem::new(Code::SecretExposed, at, message);
                return Some(problem.help("chmod 0400, owned by root or by the daemon's user"));
            }
            Err(error) => error,
        },
        Credential::SecretEnv(name) => match (environment.var)(name) {
            Some(value) => secret::from_bytes(value.into_encoded_bytes()).err()?,
            None => SecretError::NotSet(name.clone()),
        },
        _ => return None,
    };
    let bare = is_bare(&app.written.value);
    let (why, help) = match error {
        SecretError::Missing(_) if elsewhere && bare => (
            "$CREDENTIALS_DIRECTORY is not set here, nor is it beside this file",
            "in the service, systemd's LoadCredential= provides it; without systemd, put it beside this file",
        ),
        SecretError::Forbidden(_) if elsewhere && bare => (
            "this user may not read it",
            "in the service, systemd's LoadCredential= provides it; without, the daemon's user must be able to",
        ),
        SecretError::NotSet(_) if elsewhere => {
            ("the variable is not set here", "it must be set in the service's environment")
        }
        error => {
            let problem = Problem::new(Code::SecretUnusable, at, error.to_string());
            return Some(problem.help(advice(&error)));
        }
    };
    let name = secret::named(Path::new(app.written.value.as_ref()));
    let message = format!("the secret {name} is not checked: {why}");
    Some(Problem::new(Code::SecretNotHere, at, message).help(help))
}

/// What would be right.
fn advice(error: &SecretError) -> &'static str {
    match error {
        SecretError::Missing(_) => "create it, or check with --no-environment where there are no secrets",
        SecretError::Forbidden(_) => "run the check as the daemon's user, or with --no-environment",
        SecretError::NotSet(_) => "set it in the service's environment",
        SecretError::Unreadable { .. } => "it must be a regular file",
        SecretError::Empty
        | SecretError::TooLarge
        | SecretError::NotOneWord
        | SecretError::NotAToken(_)
        | SecretError::NoSecret => "write the value of the client secret into it, and nothing else",
    }
}

/// Whether a file holds certificates, and nothing that cannot be read as one.
fn certificates(path: &Path) -> Result<(), String> {
    let mut bytes = Vec::new();
    let file = open_regular(path).map_err(|error| error.to_string())?;
    file.take(CA_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        certificate.map_err(|_| "it is broken".to_owned())?;
        count += 1;
    }
    if count == 0 { Err("it has none in PEM form".to_owned()) } else { Ok(()) }
}

/// What sums of many small shares may be off by.
const ROUNDING: f64 = 1e-9;

/// Whether every lane can keep its sessions.
pub(super) fn funding(plan: &Plan, apps: &Apps, problems: &mut Vec<Problem>) {
    for lane in forecast(plan) {
        let Some(at) = apps.place(&lane.lane.key) else { continue };
        let name = &lane.lane.head.name;
        let problem = if lane.fits() {
            let used = lane.utilisation();
            if used <= funding::UTILISATION + ROUNDING {
                continue;
            }
            let message = format!("app `{name}` needs {:.1} % of its quota", used * 100.0);
            Problem::new(Code::NearQuota, at, message)
                .label("above 90 %, with little left for changes and repeats")
        } else {
            let LaneForecast { sessions, unfunded, .. } = lane;
            let limit =
                if lane.shared_limit { "Graph's limit for this app over all tenants" } else { "its quota" };
            let kept = sessions - unfunded;
            let message =
                format!("app `{name}` has {sessions} sessions, {limit} keeps {kept}: {unfunded} too many");
            Problem::new(Code::Unfunded, at, message)
                .label(format!("{unfunded} are left out and never set; `presenced plan` names them"))
        };
        problems.push(
            problem
                .help("share the users with another app registration: each has its own quota")
                .help("a state other than Available needs one request an expiration, not one in 5 minutes")
                .help("raise `quota` if Microsoft grants more; `priority` says who is kept first"),
        );
    }
}
