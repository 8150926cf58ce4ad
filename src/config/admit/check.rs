//! What is looked at outside the files: secrets and certificates. And whether the plan fits.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::apps::{AdmittedApp, Apps};
use crate::config::file::Contents;
use crate::config::problem::{Code, Problem, may_be_secret};
use crate::config::secret::{self, Environment, SecretError};
use crate::config::settings::{Credential, Network};
use crate::config::source::open_regular;
use crate::keeper::funding::{self, Load};
use crate::keeper::{LanePlan, Plan, Quota};

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
        };
        if seen.insert(credential) {
            problems.extend(secret(app, environment));
        }
    }
    if let (Some(path), Some(written)) = (&network.ca_file, main.network.ca_file.given())
        && let Err(why) = certificates(path)
    {
        let message = format!("no certificate in {}: {why}", path.display());
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
                let why = file.exposure()?;
                let problem =
                    Problem::new(Code::SecretExposed, at, format!("the secret is not well kept: {why}"));
                return Some(
                    problem.label(label(path, app)).help("chmod 0400, owned by root or by the daemon's user"),
                );
            }
            Err(error) => error,
        },
        Credential::SecretEnv(name) => match (environment.var)(name) {
            Some(value) => secret::from_bytes(value.into_encoded_bytes()).err()?,
            None => SecretError::NotSet(name.clone()),
        },
    };
    let bare = secret::is_bare(&app.written.value);
    let (code, message, help) = match error {
        SecretError::Missing(_) | SecretError::Forbidden(_) if elsewhere && bare => (
            Code::SecretNotHere,
            "the secret is not looked into: only the service has it",
            "systemd hands it over by LoadCredential=; without it, put the file beside the one that names it",
        ),
        SecretError::NotSet(_) if elsewhere => (
            Code::SecretNotHere,
            "the secret is not looked into: the variable is not set here",
            "the service needs it",
        ),
        SecretError::Missing(_) => (
            Code::SecretUnusable,
            "the secret file does not exist",
            "create it, or check with --no-environment where there are no secrets",
        ),
        SecretError::Forbidden(_) => (
            Code::SecretUnusable,
            "this user may not read the secret file",
            "run the check as the daemon's user, or with --no-environment",
        ),
        SecretError::NotSet(_) => (
            Code::SecretUnusable,
            "the variable of the secret is not set",
            "set it in the service's environment",
        ),
        SecretError::Empty => {
            (Code::SecretUnusable, "the secret is empty", "write the client secret into it")
        }
        SecretError::TooLarge => (Code::SecretUnusable, "this is no secret: it is larger than 64 KiB", ""),
        SecretError::NotUtf8 => (Code::SecretUnusable, "this is no secret: it is not UTF-8", ""),
        SecretError::Unreadable { .. } => {
            (Code::SecretUnusable, "the secret file cannot be read", "it must be a file")
        }
    };
    let problem = Problem::new(code, at, message);
    let problem = match &app.app.credential {
        Credential::SecretFile(path) => problem.label(label(path, app)),
        Credential::SecretEnv(_) => problem,
    };
    Some(if help.is_empty() { problem } else { problem.help(help) })
}

/// Where a secret was looked for; not if its name may be the secret itself.
fn label(path: &Path, app: &AdmittedApp) -> String {
    if may_be_secret(&app.written.value) {
        "is this the secret itself?".to_owned()
    } else {
        path.display().to_string()
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

/// Whether every lane can keep its sessions.
pub(super) fn funding(plan: &Plan, apps: &Apps, problems: &mut Vec<Problem>) {
    for lane in plan.lanes() {
        let Some(at) = apps.place(&lane.key) else { continue };
        let wanted = lane.sessions.iter().filter(|session| session.wish.is_some()).count();
        let funded = lane.sessions.iter().filter(|session| session.funded).count();
        let name = &lane.head.name;
        let used = utilisation(lane);
        let problem = if funded < wanted {
            let left_out = wanted - funded;
            let why = if used > funding::UTILISATION_MAX {
                "its quota keeps"
            } else {
                "Graph's limit for this app over all tenants keeps"
            };
            let message = format!("app `{name}` has {wanted} sessions, {why} {funded}: {left_out} too many");
            Problem::new(Code::Unfunded, at, message).label(format!("{left_out} are left out and never set"))
        } else if used > funding::UTILISATION {
            let message = format!("app `{name}` needs {:.1} % of its quota", used * 100.0);
            Problem::new(Code::NearQuota, at, message)
                .label("above 90 %, with little left for changes and repeats")
        } else {
            continue;
        };
        problems.push(
            problem
                .help("share the users with another app registration: each has its own quota")
                .help("a state other than Available needs one request an expiration, not one in 5 minutes")
                .help("raise `quota` if Microsoft grants more; `priority` says who is kept first"),
        );
    }
}

/// The share of its quota that a lane needs at its longest period.
fn utilisation(lane: &LanePlan) -> f64 {
    let mut load = Load::default();
    for wish in lane.sessions.iter().filter_map(|session| session.wish) {
        load.add(Load::of(wish));
    }
    load.hertz() / (funding::FRACTION_MAX * Quota::per_second(lane.head.quota))
}
