//! The token endpoint's rules: who gets a token, how long it lives, and what it looks like.
//!
//! Tokens are opaque to clients. Inside they are a number; their text carries it with a signature.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chance::{self, Purpose};
use super::faults::BodyForm;
use crate::keeper::time::MonoTime;

/// The shortest and the longest life of a token, unless it is set: chance picks. Source: Microsoft's page on
/// configurable token lifetimes.
pub const LIFE: (Duration, Duration) = (Duration::from_secs(60 * 60), Duration::from_secs(90 * 60));

/// How many tokens are remembered; the oldest are forgotten, and are then as good as expired.
const MOST_TOKENS: usize = 100_000;
const PREFIX: &str = "EwSandbox.";
/// About the length of a real one, so that what cannot carry a real one shows.
const TEXT_LENGTH: usize = 1_600;

/// A token, as the in-process door names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(u64);

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By its secret.
    Secret(String),
    /// By a signed assertion. It is taken as it is: the sandbox knows nobody's certificate.
    Assertion,
}

/// A well-formed request for a token of client credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAsk {
    /// The tenant of the path.
    pub tenant: Uuid,
    /// The app.
    pub client: Uuid,
    /// Its proof.
    pub proof: Proof,
}

/// An error of the token endpoint. Source: Microsoft's page "Microsoft Entra authentication and authorization
/// error codes"; the sentences are the endpoint's own where they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenProblem {
    /// HTTP status.
    pub status: u16,
    /// `error`.
    pub error: Cow<'static, str>,
    /// The number after AADSTS.
    pub code: u32,
    /// The sentence after the number.
    pub message: String,
}

impl TokenProblem {
    fn new(status: u16, error: &'static str, code: u32, message: impl Into<String>) -> Self {
        Self { status, error: Cow::Borrowed(error), code, message: message.into() }
    }

    /// The secret is not the right one.
    #[must_use]
    pub fn wrong_secret(client: Uuid) -> Self {
        let message = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
             value, not the client secret ID, for a secret added to app '{client}'."
        );
        Self::new(401, "invalid_client", 7_000_215, message)
    }

    fn missing(parameter: &str) -> Self {
        let message = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new(400, "invalid_request", 900_144, message)
    }

    /// What a scripted error of this name looks like.
    fn named(status: u16, error: &str) -> Self {
        let (code, message) = match error {
            "invalid_client" => (7_000_215, "Invalid client secret provided."),
            "unauthorized_client" => (700_016, "Application was not found in the directory."),
            "invalid_grant" => {
                (70_021, "No matching federated identity record found for presented assertion.")
            }
            "temporarily_unavailable" => (90_033, "A transient error has occurred. Please try again."),
            _ => (90_002, "The request cannot be served."),
        };
        Self { status, error: Cow::Owned(error.to_owned()), code, message: message.to_owned() }
    }
}

impl TokenAsk {
    /// Reads the form of a token request to the path of `tenant`.
    ///
    /// # Errors
    /// What the endpoint answers to a form that is no request for client credentials.
    pub fn read(tenant: &str, form: &[u8]) -> Result<Self, TokenProblem> {
        let fields: BTreeMap<Cow<'_, str>, Cow<'_, str>> = url::form_urlencoded::parse(form).collect();
        let field = |name: &str| fields.get(name).map(|value| &**value).filter(|value| !value.is_empty());
        let required = |name: &str| field(name).ok_or_else(|| TokenProblem::missing(name));
        let no_tenant = || {
            let message =
                format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
            TokenProblem::new(400, "invalid_request", 90_002, message)
        };
        let tenant = super::route::object_id(tenant).ok_or_else(no_tenant)?;
        let grant_type = required("grant_type")?;
        if grant_type != "client_credentials" {
            let message = format!("The app requested an unsupported grant type '{grant_type}'.");
            return Err(TokenProblem::new(400, "unsupported_grant_type", 70_003, message));
        }
        let client = required("client_id")?;
        let client = super::route::object_id(client).ok_or_else(|| {
            let message = format!("Application with identifier '{client}' was not found in the directory.");
            TokenProblem::new(400, "unauthorized_client", 700_016, message)
        })?;
        let scope = required("scope")?;
        if !scope.ends_with("/.default") {
            let message = format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope \
                 value with /.default suffixed to the resource identifier."
            );
            return Err(TokenProblem::new(400, "invalid_scope", 1_002_012, message));
        }
        Ok(Self { tenant, client, proof: proof(&field)? })
    }
}

fn proof<'a>(field: &impl Fn(&str) -> Option<&'a str>) -> Result<Proof, TokenProblem> {
    const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    match (field("client_secret"), field("client_assertion"), field("client_assertion_type")) {
        (Some(secret), None, _) => Ok(Proof::Secret(secret.to_owned())),
        (None, Some(assertion), Some(ASSERTION_TYPE)) if assertion.split('.').count() == 3 => {
            Ok(Proof::Assertion)
        }
        (None, Some(_), _) => {
            Err(TokenProblem::new(401, "invalid_client", 50_027, "JWT token is invalid or malformed."))
        }
        (Some(_), Some(_), _) => {
            let message = "The request must contain either 'client_assertion' or 'client_secret', not both.";
            Err(TokenProblem::new(400, "invalid_request", 90_023, message))
        }
        (None, None, _) => {
            let message = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            Err(TokenProblem::new(401, "invalid_client", 7_000_218, message))
        }
    }
}

/// What the token endpoint does instead of its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenTrouble {
    /// HTTP status; with `error`, a 200 is taken as 400.
    pub status: u16,
    /// The `error` of the answer, `invalid_client` for instance; absent: a gateway's error without one.
    pub error: Option<String>,
    /// The Retry-After header, as it goes out.
    pub retry_after: Option<String>,
    /// The form of the body.
    pub body: BodyForm,
    /// No answer at all, until the trouble is taken away.
    pub hang: bool,
    /// The connection is closed instead of an answer.
    pub reset: bool,
    /// Only this tenant has the trouble.
    pub tenant: Option<Uuid>,
    /// Only this app has it.
    pub app: Option<Uuid>,
}

impl Default for TokenTrouble {
    fn default() -> Self {
        Self {
            status: 503,
            error: None,
            retry_after: None,
            body: BodyForm::default(),
            hang: false,
            reset: false,
            tenant: None,
            app: None,
        }
    }
}

impl TokenTrouble {
    /// Whether this app in this tenant has it.
    #[must_use]
    pub fn is_for(&self, tenant: Uuid, client: Uuid) -> bool {
        self.tenant.is_none_or(|only| only == tenant) && self.app.is_none_or(|only| only == client)
    }

    /// The problem it answers with, where it is the endpoint itself that answers.
    #[must_use]
    pub fn problem(&self) -> Option<TokenProblem> {
        let status = match self.status {
            200..400 => 400,
            503 if self.error.as_deref() == Some("invalid_client") => 401,
            status => status,
        };
        self.error.as_deref().map(|error| TokenProblem::named(status, error))
    }
}

/// A token that was given out.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// For which lane.
    pub lane: u32,
    /// When it is over.
    pub expires_at: MonoTime,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// All tokens that were given out.
#[derive(Debug, Default)]
pub struct Tokens {
    grants: BTreeMap<TokenId, Grant>,
    given: u64,
}

impl Tokens {
    /// Gives one out, for `life` or for a life that chance picks. Returns it with its life.
    pub fn give(
        &mut self,
        seed: u64,
        lane: u32,
        now: MonoTime,
        life: Option<Duration>,
    ) -> (TokenId, Duration) {
        self.given += 1;
        let chosen = || chance::between(seed, Purpose::TokenLife, self.given, LIFE.0, LIFE.1);
        // On the wire a life is a number of whole seconds.
        let life = Duration::from_secs(life.unwrap_or_else(chosen).as_secs());
        let id = TokenId(self.given);
        self.grants.insert(id, Grant { lane, expires_at: now + life, revoked: false });
        if self.grants.len() > MOST_TOKENS {
            self.grants.pop_first();
        }
        (id, life)
    }

    /// The grant of a token, also when it is over.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<Grant> {
        self.grants.get(&id).copied()
    }

    /// Revokes all that are out.
    pub fn revoke_all(&mut self) {
        self.grants.values_mut().for_each(|grant| grant.revoked = true);
    }
}

impl TokenId {
    /// The bearer token's text: its number, then its signature again and again.
    #[must_use]
    pub fn text(self, seed: u64) -> String {
        let signature = self.signature(seed);
        let mut text = format!("{PREFIX}{:016x}", self.0);
        text.extend(signature.chars().cycle().take(TEXT_LENGTH - text.len()));
        text
    }

    /// The token of a text, if it was written by [`Self::text`] with this seed.
    #[must_use]
    pub fn from_text(text: &str, seed: u64) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (number, tail) = rest.split_at_checked(16)?;
        let id = Self(u64::from_str_radix(number, 16).ok()?);
        let signature = id.signature(seed);
        let signed = tail.as_bytes().chunks(16).all(|chunk| signature.as_bytes().starts_with(chunk));
        (signed && text.len() == TEXT_LENGTH).then_some(id)
    }

    fn signature(self, seed: u64) -> String {
        format!("{:016x}", chance::bits(seed, Purpose::Token, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "9c7f0000-0000-4000-8000-000000000001";
    const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";

    fn refusal(tenant: &str, form: &str) -> (u16, String, u32) {
        let problem = TokenAsk::read(tenant, form.as_bytes()).unwrap_err();
        (problem.status, problem.error.into_owned(), problem.code)
    }

    #[test]
    fn a_form_is_read_and_each_mistake_in_it_has_its_own_number() {
        let scope = "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";
        let good = format!("client_id={CLIENT}&{scope}&client_secret=a%2Bb+c&grant_type=client_credentials");
        let ask = TokenAsk::read(TENANT, good.as_bytes()).unwrap();
        assert_eq!(ask.proof, Proof::Secret("a+b c".to_owned()));
        assert_eq!(refusal("contoso", &good).2, 90_002);
        assert_eq!(refusal(TENANT, &good.replace("grant_type", "grant")).2, 900_144);
        assert_eq!(refusal(TENANT, &good.replace("=client_credentials", "=password")).2, 70_003);
        assert_eq!(refusal(TENANT, &good.replace(CLIENT, "presenced")).2, 700_016);
        assert_eq!(refusal(TENANT, &good.replace(".default", "Presence.ReadWrite")).2, 1_002_012);
        let neither = good.replace("client_secret", "secret");
        assert_eq!(refusal(TENANT, &neither), (401, "invalid_client".to_owned(), 7_000_218));
    }

    #[test]
    fn an_assertion_needs_its_type_and_three_parts() {
        let form = |kind: &str, jwt: &str| {
            format!(
                "client_id={CLIENT}&scope=g/.default&grant_type=client_credentials\
                 &client_assertion_type={kind}&client_assertion={jwt}"
            )
        };
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let ask = TokenAsk::read(TENANT, form(kind, "a.b.c").as_bytes()).unwrap();
        assert_eq!(ask.proof, Proof::Assertion);
        assert_eq!(refusal(TENANT, &form(kind, "a.b")).2, 50_027);
        assert_eq!(refusal(TENANT, &form("jwt", "a.b.c")).2, 50_027);
    }

    #[test]
    fn a_token_is_known_by_its_text_and_by_no_other() {
        let mut tokens = Tokens::default();
        let (id, life) = tokens.give(1, 0, MonoTime::ZERO, None);
        assert!((LIFE.0..=LIFE.1).contains(&life));
        let text = id.text(1);
        assert_eq!(text.len(), TEXT_LENGTH);
        assert_eq!(TokenId::from_text(&text, 1), Some(id));
        assert_eq!(TokenId::from_text(&text, 2), None);
        assert_eq!(TokenId::from_text(&text[..TEXT_LENGTH - 1], 1), None);
        assert_eq!(TokenId::from_text("", 1), None);
        assert_eq!(TokenId::from_text(&text.replacen("0001", "0002", 1), 1), None);
    }
}
