//! What the login authority's errors mean, and what to do about them.
//!
//! Microsoft asks clients to act on `error` and to keep the numbers for people; the numbers tell more, though, and
//! where one of them is known it decides. Some numbers stand for several faults; the words beside them tell which.
//! Sources: the page on Entra authentication and authorization error codes; for those that it does not list, and for the
//! words, what Entra itself says in answers that people have published.

use std::time::Duration;

use crate::config::settings::Credential;
use crate::keeper::TokenFailure;

/// What is to be done about a token that did not come. The words for it are stable: they stand in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Class {
    /// It passes by itself, and is tried again soon.
    #[default]
    Again,
    /// It passes by itself, if it is left alone for minutes.
    Slowly,
    /// Someone has to mend the config, the credential or the app registration.
    Fix,
    /// The user has to sign in again.
    SignIn,
}

impl Class {
    /// Its stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Again => "try_again",
            Self::Slowly => "try_slowly",
            Self::Fix => "fix_config",
            Self::SignIn => "sign_in",
        }
    }

    /// What the keeper makes of it.
    pub(super) const fn failure(self) -> TokenFailure {
        match self {
            Self::Again | Self::Slowly => TokenFailure::Unreachable,
            Self::Fix | Self::SignIn => TokenFailure::Rejected,
        }
    }
}

/// The ways in that errors are worded for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Secret,
    Certificate,
    TokenFile,
    /// The host vouches; what it says has words of its own.
    Host,
    User,
}

impl Way {
    /// That of a credential.
    pub(super) const fn of(credential: &Credential) -> Self {
        match credential {
            Credential::SecretFile(_) | Credential::SecretEnv(_) => Self::Secret,
            Credential::Certificate(_) => Self::Certificate,
            Credential::FederatedTokenFile(_) => Self::TokenFile,
            Credential::ManagedIdentity(_) => Self::Host,
            Credential::SignedIn(_) => Self::User,
        }
    }
}

/// What an error means. In `advice`, `{credential}` stands for the place of the credential in the config, and `{app}`
/// for the app's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// What is to be done.
    pub(super) class: Class,
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
const SIGN_IN: &str = "sign in again: `presenced login {app}`";
/// What to do about a clock that is wrong.
pub(in crate::daemon) const CLOCK: &str =
    "set this machine's clock (by NTP, for instance): Entra ID lets it be five minutes off at most";

const fn mend(meaning: &'static str, advice: &'static str) -> Reading {
    Reading { class: Class::Fix, meaning, advice, wait: None }
}

const fn passes(meaning: &'static str) -> Reading {
    Reading { class: Class::Again, meaning, advice: WAIT, wait: None }
}

const fn slowly(meaning: &'static str, advice: &'static str) -> Reading {
    Reading { class: Class::Slowly, meaning, advice, wait: Some(LOOP_WAIT) }
}

const fn sign_in(meaning: &'static str) -> Reading {
    Reading { class: Class::SignIn, meaning, advice: SIGN_IN, wait: None }
}

/// What is known of a number, `AADSTS` before it, for an app that came this way. `words` are what the authority says
/// beside it.
pub(super) fn by_number(number: u32, way: Way, words: &str) -> Option<Reading> {
    let of_way = match way {
        Way::Secret => of_secret(number),
        Way::Certificate => of_certificate(number, Fault::of(words)),
        Way::TokenFile => of_token_file(number, Fault::of(words)),
        Way::User => of_user(number),
        Way::Host => None,
    };
    of_way.or_else(|| of_passing(number)).or_else(|| of_any(number))
}

/// What is wrong with an assertion, as far as the words tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// The key that has signed it is past its end.
    KeyExpired,
    /// It is too old, or not yet good.
    Time,
    /// They do not say, or its key is another.
    Other,
}

impl Fault {
    fn of(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        let says = |any: &[&str]| any.iter().any(|some| words.contains(some));
        if says(&[
            "key used is expired",
            "key is expired",
            "certificate is expired",
            "certificate has expired",
        ]) {
            Self::KeyExpired
        } else if says(&[
            "valid time range",
            "not yet valid",
            "assertion is expired",
            "assertion has expired",
        ]) {
            Self::Time
        } else {
            Self::Other
        }
    }
}

const fn of_secret(number: u32) -> Option<Reading> {
    Some(match number {
        7_000_215 | 50_012 => mend(
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
        _ => return None,
    })
}

const fn of_certificate(number: u32, fault: Fault) -> Option<Reading> {
    Some(match (number, fault) {
        (1_000_502 | 7_000_222, _) | (700_027 | 50_012 | 50_013, Fault::KeyExpired) => mend(
            "the certificate has expired",
            "make a new one, upload it to the app (app registration, Certificates & secrets, Certificates), and put it \
             with its key in place of {credential}",
        ),
        (700_024 | 500_133, _) | (700_027 | 50_012 | 50_013, Fault::Time) => {
            mend("what the certificate's key signed is not of this time", CLOCK)
        }
        (700_027 | 50_012 | 50_013, Fault::Other) => mend(
            "the app registration does not know the certificate, or another key has signed",
            "upload the certificate in {credential} to the app (app registration, Certificates & secrets, \
             Certificates), without its key",
        ),
        (700_023, _) => mend(
            "the authority was addressed by a name that is not its own",
            "check the app's cloud: login must be the root of the login host",
        ),
        (7_000_218, _) => mend(
            "the authority saw no assertion in the request",
            "see that nothing on the way changes requests, and that the app's cloud names the right login host",
        ),
        _ => return None,
    })
}

const fn of_token_file(number: u32, fault: Fault) -> Option<Reading> {
    Some(match (number, fault) {
        (70_021 | 700_211 | 700_212 | 700_213, _) => mend(
            "the app has no federated credential for this token's issuer, subject and audience",
            "compare them (app registration, Certificates & secrets, Federated credentials) with what is in \
             {credential}; all three are compared letter by letter",
        ),
        (700_024 | 500_133, _) | (700_027 | 50_012 | 50_013, Fault::Time) => mend(
            "the token in the file is past its end, or not yet good",
            "see that whoever writes {credential} renews it in time, and that this machine's clock is right",
        ),
        (700_027 | 50_012 | 50_013, Fault::KeyExpired) => mend(
            "the key that has signed the token in the file is past its end",
            "see who writes {credential}, and that its issuer signs with a key that it publishes and that is in date",
        ),
        (700_027 | 50_012 | 50_013, Fault::Other) => mend(
            "the token in the file is not signed by the issuer that it names, or is damaged",
            "see who writes {credential}, and that Entra ID reaches the keys that its issuer publishes",
        ),
        (7_000_218, _) => mend(
            "the authority saw no assertion in the request",
            "see that nothing on the way changes requests, and that the app's cloud names the right login host",
        ),
        _ => return None,
    })
}

const fn of_user(number: u32) -> Option<Reading> {
    Some(match number {
        700_082 => sign_in("the sign-in has run out, because it was not used for 90 days"),
        70_008 => sign_in("the sign-in has run out or was revoked"),
        70_043 => sign_in("a sign-in frequency of Conditional Access has ended the sign-in"),
        50_173 => sign_in("the sign-in was revoked, after a change of the password for instance"),
        70_000 => sign_in("the sign-in is no longer good"),
        65_001 => sign_in("the user, or an admin, has not consented to what the app asks for"),
        50_076 | 50_079 | 50_074 | 50_078 | 50_158 => sign_in("the user has to prove once more who it is"),
        50_057 => mend(
            "the user's account is disabled",
            "enable it in Entra ID, and sign in: `presenced login {app}`",
        ),
        53_003 => mend(
            "Conditional Access blocks this sign-in",
            "ask whoever keeps its policies to allow the device code flow for this app, or this machine's address; then \
             sign in: `presenced login {app}`",
        ),
        7_000_218 => mend(
            "the app does not allow sign-in without a secret",
            "allow public client flows (app registration, Authentication, Settings), and sign in: `presenced login {app}`",
        ),
        _ => return None,
    })
}

const fn of_passing(number: u32) -> Option<Reading> {
    Some(match number {
        50_196 => slowly(
            "too many token requests in a short time; the authority takes it for a loop",
            "if it comes back, see that no other program uses the same app registration in a loop",
        ),
        90_055 => slowly("the whole tenant sends too many token requests", WAIT),
        90_006 | 90_012 | 90_024 | 90_033 | 90_090 => passes("the login authority has a passing trouble"),
        _ => return None,
    })
}

const fn of_any(number: u32) -> Option<Reading> {
    Some(match number {
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
        _ => return None,
    })
}

/// What is known of an error by its name (RFC 6749, section 5.2) and status.
pub(super) fn by_name(error: &str, status: u16, way: Way) -> Reading {
    match error {
        "temporarily_unavailable" | "server_error" => passes("the login authority has a passing trouble"),
        _ if status == 429 => passes("the login authority is busy"),
        _ if status == 408 || status >= 500 => passes("the login authority has a passing trouble"),
        "invalid_grant" | "interaction_required" | "login_required" | "consent_required"
            if way == Way::User =>
        {
            sign_in("")
        }
        "invalid_client" => mend(
            "the authority does not accept the app's credential",
            match way {
                Way::Secret => "check client_id and tenant of the app, and the secret in {credential}",
                Way::Certificate => {
                    "check client_id and tenant of the app, and that the app has the certificate in {credential}"
                }
                Way::TokenFile => {
                    "check client_id and tenant of the app, and its federated credentials against {credential}"
                }
                Way::User | Way::Host => {
                    "check client_id and tenant of the app, and that it allows public client flows"
                }
            },
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
mod tests;
