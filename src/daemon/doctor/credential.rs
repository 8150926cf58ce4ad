//! From when on and how long a credential is good, as far as that is known.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::report::{Check, CheckName};
use crate::config::settings::{App, Credential};
use crate::daemon::token::TokenSource;
use crate::daemon::token::expiry::{End, Ending, Notice};

/// When an app's credential ends, and whether it is in force yet. Reads small files.
pub(super) fn end(app: &App, source: &TokenSource, wall: SystemTime) -> Check {
    let name = CheckName::CredentialEnd;
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = i64::try_from(since.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    match (End::of(app, source), now) {
        (Some(end), Some(now)) => {
            source.certificate_begin().and_then(|begin| early(begin, now)).unwrap_or_else(|| judged(end, now))
        }
        _ => Check::skipped(name, unknown(&app.credential)),
    }
}

/// Of a certificate that is in force only later: a wrong clock makes it so, or a file that is meant for later.
fn early(begin: Timestamp, now: Timestamp) -> Option<Check> {
    (now < begin).then(|| {
        Check::failed(
            CheckName::CredentialEnd,
            format!("the certificate is not in force before {begin:.0}, and it is {now:.0} here"),
            "see that this machine's clock is right, and that this is the certificate that is meant",
        )
    })
}

fn judged(end: End, now: Timestamp) -> Check {
    const DAY: i64 = 24 * 3_600;
    let name = CheckName::CredentialEnd;
    let (kind, at) = (end.ending.word(), format!("{:.0}", end.at));
    let Some(notice) = Notice::of(end.at, now) else {
        let days = (end.at.as_second() - now.as_second()) / DAY;
        return Check::ok(name, format!("the {kind} ends {at}, in {days} days"));
    };
    let advice = end.ending.advice();
    match notice.days_left {
        ..0 => {
            let stale = match end.ending {
                Ending::Secret => "; if that was done, secret_expires is what is old",
                Ending::Certificate => "",
            };
            Check::failed(name, format!("the {kind} ended {at}"), format!("{advice}{stale}"))
        }
        0 => Check::warning(name, format!("the {kind} ends {at}, within a day"), advice),
        1 => Check::warning(name, format!("the {kind} ends {at}, in 1 day"), advice),
        days => Check::warning(name, format!("the {kind} ends {at}, in {days} days"), advice),
    }
}

/// Why the end is not known.
const fn unknown(credential: &Credential) -> &'static str {
    match credential {
        Credential::SecretFile(_) | Credential::SecretEnv(_) => {
            "not known: write the secret's last day into the app's secret_expires"
        }
        Credential::Certificate(_) => "not known: the certificate cannot be read",
        Credential::FederatedTokenFile(_) => "whoever writes the token renews it",
        Credential::ManagedIdentity(_) => "a managed identity has none",
        Credential::SignedIn(_) => "a sign-in lasts as long as it is used, by Entra's policies",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::doctor::Status;

    #[test]
    fn an_end_is_warned_of_thirty_days_ahead_and_fails_when_it_is_past() {
        let at: Timestamp = "2027-03-01T12:00:00Z".parse().unwrap();
        for (now, status, told) in [
            ("2027-01-29T11:00:00Z", Status::Ok, "ends 2027-03-01T12:00:00Z, in 31 days"),
            ("2027-01-30T11:00:00Z", Status::Warning, "in 30 days"),
            ("2027-02-28T11:00:00Z", Status::Warning, "in 1 day"),
            ("2027-03-01T11:59:59Z", Status::Warning, "within a day"),
            ("2027-03-01T12:00:01Z", Status::Failed, "the certificate ended 2027-03-01T12:00:00Z"),
        ] {
            let check = judged(End { ending: Ending::Certificate, at }, now.parse().unwrap());
            assert_eq!(check.status, status, "{now}: {check:?}");
            assert!(check.detail.ends_with(told), "{now}: {check:?}");
        }
        let now = at.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
        assert_eq!(early(at, at), None);
        let check = early(at, now).unwrap();
        let told = "not in force before 2027-03-01T12:00:00Z, and it is 2027-03-01T11:59:59Z here";
        assert!(check.status == Status::Failed && check.detail.ends_with(told), "{check:?}");
        let check = judged(End { ending: Ending::Secret, at }, "2028-01-01T00:00:00Z".parse().unwrap());
        assert!(check.advice.unwrap().contains("secret_expires"));
    }
}
