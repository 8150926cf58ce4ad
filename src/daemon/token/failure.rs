//! What the login authority's errors mean, and what to do about them.
//!
//! Microsoft asks clients to act on `error` and to keep the numbers for people; the numbers tell more, though, and
//! where one of them is known it decides. Source: the page on Entra authentication and authorization error codes.

use std::time::Duration;

use crate::keeper::TokenFailure;

/// What an error means. In `advice`, `{credential}` stands for the place of the secret in the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether it may pass by itself.
    pub(super) failure: TokenFailure,
    /// What it means; empty where only the authority's own words tell.
    pub(super) meaning: &'static str,
    /// What to do.
    pub(super) advice: &'static str,
    /// How long to leave the authority alone, where it does not say so itself.
    pub(super) wait: Option<Duration>,
}

/// The authority ends loops of requests for minutes (AADSTS50196).
const LOOP_WAIT: Duration = Duration::from_secs(300);
const WAIT: &str = "nothing to do: it is tried again";

const fn mend(meaning: &'static str, advice: &'static str) -> Reading {
    Reading { failure: TokenFailure::Rejected, meaning, advice, wait: None }
}

const fn passes(meaning: &'static str) -> Reading {
    Reading { failure: TokenFailure::Unreachable, meaning, advice: WAIT, wait: None }
}

/// What is known of a number, `AADSTS` before it.
pub(super) const fn by_number(number: u32) -> Option<Reading> {
    Some(match number {
        7_000_215 => mend(
            "the client secret is wrong",
            "put the secret's value, which Entra shows once when the secret is made, into {credential}; the secret ID \
             beside it in the list does not do",
        ),
        7_000_222 => mend(
            "the client secret has expired",
            "make a new one (app registration, Certificates & secrets) and put its value into {credential}",
        ),
        7_000_218 => mend(
            "the authority saw no secret in the request",
            "see that nothing on the way changes requests, and that the app's cloud names the right login host",
        ),
        700_016 | 700_011 | 7_000_229 => mend(
            "the tenant does not know this app",
            "check client_id and tenant of the app; in a tenant that is not the app's own, its admin must consent \
             first",
        ),
        70_001 | 7_000_112 => mend(
            "the app is disabled in this tenant",
            "enable it in Entra (Enterprise applications, Properties, Enabled for users to sign in)",
        ),
        90_002 | 900_023 => mend(
            "there is no such tenant in this cloud",
            "check tenant (the directory ID) and cloud of the app",
        ),
        90_038 | 900_432 | 900_382 => mend(
            "the tenant lives in another cloud",
            "set the app's cloud: \"us-gov-l4\" or \"us-gov-l5\" for US Government, \"global\" otherwise",
        ),
        500_011 | 70_011 => mend(
            "the authority knows no Graph under the app's cloud",
            "check the app's cloud: graph and login must belong together",
        ),
        50_194 | 9_001_023 => mend("the app is for one tenant only", "set tenant to the app's own tenant"),
        53_003 => mend(
            "Conditional Access blocks the app",
            "ask whoever keeps its policies to allow this app from this machine's address",
        ),
        65_001 => mend(
            "nobody has consented to what the app asks for",
            "grant admin consent for Presence.ReadWrite.All (app registration, API permissions)",
        ),
        50_196 => Reading {
            failure: TokenFailure::Unreachable,
            meaning: "too many token requests in a short time; the authority takes it for a loop",
            advice: "if it comes back, see that no other program uses the same app registration in a loop",
            wait: Some(LOOP_WAIT),
        },
        90_055 => Reading {
            failure: TokenFailure::Unreachable,
            meaning: "the whole tenant sends too many token requests",
            advice: WAIT,
            wait: Some(LOOP_WAIT),
        },
        90_006 | 90_012 | 90_024 | 90_033 | 90_090 => passes("the login authority has a passing trouble"),
        _ => return None,
    })
}

/// What is known of an error by its name (RFC 6749, section 5.2) and status.
pub(super) fn by_name(error: &str, status: u16) -> Reading {
    match error {
        "temporarily_unavailable" | "server_error" => passes("the login authority has a passing trouble"),
        _ if status == 429 => passes("the login authority is busy"),
        _ if status == 408 || status >= 500 => passes("the login authority has a passing trouble"),
        "invalid_client" => mend(
            "the authority does not accept the app's credential",
            "check client_id and tenant of the app, and the secret in {credential}",
        ),
        "unauthorized_client" => mend(
            "the app may not sign in like this",
            "check client_id and tenant of the app, and its consent",
        ),
        "unsupported_grant_type" => mend(
            "what answers is not the v2.0 token endpoint of Entra ID",
            "check the app's cloud: login must be the root of the login host",
        ),
        "invalid_scope" => mend(
            "the authority knows no Graph under the app's cloud",
            "check the app's cloud: graph and login must belong together",
        ),
        _ => mend(
            "",
            "look the error up at https://login.microsoftonline.com/error, and check the [[app]] table",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u32; 23] = [
        7_000_215, 7_000_222, 7_000_218, 700_016, 700_011, 7_000_229, 70_001, 7_000_112, 90_002, 900_023,
        90_038, 900_432, 900_382, 500_011, 70_011, 50_194, 9_001_023, 53_003, 65_001, 50_196, 90_055, 90_033,
        90_090,
    ];

    #[test]
    fn every_known_number_says_what_it_means_and_what_to_do() {
        for number in NUMBERS {
            let reading = by_number(number).unwrap_or_else(|| panic!("{number} is not known"));
            assert!(!reading.meaning.is_empty() && !reading.advice.is_empty(), "{number}");
        }
        assert_eq!(by_number(1), None);
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_someone_has_to_mend() {
        let cases = [
            ("temporarily_unavailable", 400, TokenFailure::Unreachable),
            ("server_error", 400, TokenFailure::Unreachable),
            ("invalid_client", 503, TokenFailure::Unreachable),
            ("invalid_request", 429, TokenFailure::Unreachable),
            ("invalid_client", 401, TokenFailure::Rejected),
            ("unauthorized_client", 400, TokenFailure::Rejected),
            ("invalid_grant", 400, TokenFailure::Rejected),
            ("something_new", 400, TokenFailure::Rejected),
        ];
        for (error, status, failure) in cases {
            assert_eq!(by_name(error, status).failure, failure, "{error}, {status}");
        }
        assert_eq!(by_number(50_196).unwrap().wait, Some(Duration::from_secs(300)));
        assert_eq!(by_number(90_033).unwrap().failure, TokenFailure::Unreachable);
    }
}
