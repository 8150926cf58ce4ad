//! What is looked at outside the files: credentials and certificate authorities. And whether the plan fits.

use std::io::Read;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::apps::Apps;
use super::proof;
use crate::config::environment::Environment;
use crate::config::file::Contents;
use crate::config::problem::{Code, Problem, shown_path};
use crate::config::settings::Network;
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
    proof::check(apps, environment, problems);
    if let (Some(path), Some(written)) = (&network.ca_file, main.network.ca_file.given())
        && let Err(why) = certificates(path)
    {
        let message = format!("no certificate in {}: {why}", shown_path(path));
        problems.push(
            Problem::new(Code::CaFile, written.at, message).help("a PEM file of CA certificates is needed"),
        );
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
