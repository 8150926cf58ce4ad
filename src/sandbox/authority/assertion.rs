//! Assertions in place of a secret: an app's own, signed with its certificate, and those of issuers that it trusts.
//!
//! Sources: Microsoft's pages "Microsoft identity platform application authentication certificate credentials" and
//! "Microsoft identity platform and the OAuth 2.0 client credentials flow" (third case: federated credential).

use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::problem::TokenProblem;
use super::registration::App;

/// How far clocks may differ, in seconds.
const SKEW: i64 = 300;

/// Who says that the bearer of an assertion is the app, and what it is held against.
pub(super) struct Claimed<'a> {
    /// The app.
    pub client: Uuid,
    /// The token endpoint without its scheme: what stands before the sandbox may speak TLS.
    pub endpoint: &'a str,
    /// Now, in seconds since 1970.
    pub unix: u64,
    /// How long after now an app's own assertion may end, in seconds.
    pub longest: u64,
    /// What is registered. Absent: signatures are not looked at.
    pub app: Option<&'a App>,
}

/// What is kept of an assertion that was good once, so that it is not good again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Used {
    /// The app and its `jti`.
    pub key: (Uuid, String),
    /// When it is over anyway, in seconds since 1970.
    pub until: u64,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    jti: Option<String>,
    nbf: Option<i64>,
    exp: i64,
}

impl Body {
    fn is_for(&self, is: impl Fn(&str) -> bool) -> bool {
        match &self.aud {
            Value::String(one) => is(one),
            Value::Array(all) => all.iter().filter_map(Value::as_str).any(is),
            _ => false,
        }
    }

    fn audience(&self) -> String {
        self.aud.as_str().map_or_else(|| self.aud.to_string(), str::to_owned)
    }

    fn in_time(&self, unix: u64, longest: Option<u64>) -> Result<(), TokenProblem> {
        let now = i64::try_from(unix).unwrap_or(i64::MAX);
        let signed = |span: u64| i64::try_from(span).unwrap_or(i64::MAX);
        let over = self.exp.saturating_add(SKEW) <= now;
        let early = self.nbf.is_some_and(|nbf| nbf.saturating_sub(SKEW) > now);
        let lasts = longest.is_some_and(|longest| self.exp.saturating_sub(now) > signed(longest) + SKEW);
        if over || early || lasts {
            let problem = TokenProblem::out_of_time(unix, self.nbf, self.exp);
            return Err(TokenProblem { invalid: lasts, ..problem });
        }
        Ok(())
    }
}

impl Claimed<'_> {
    /// Whether an assertion shows that its bearer is the app. Returns what to remember, where it is good only once.
    ///
    /// # Errors
    /// AADSTS50027 for what is no assertion; 5002723, 700027, 700021, 700023 and 700024 for an app's own; 70021,
    /// 700211 to 700213, 50013 and 700024 for one of an issuer.
    pub(super) fn check(&self, text: &str) -> Result<Option<Used>, TokenProblem> {
        if text.split('.').count() != 3 {
            return Err(TokenProblem::malformed_assertion("there are not three parts"));
        }
        let read = insecure_decode::<Body>(text);
        let read = read.map_err(|_| TokenProblem::malformed_assertion("header or claims cannot be read"))?;
        let own = self.client.to_string();
        let thumbprint = read.header.x5t_s256.is_some() || read.header.x5t.is_some();
        if thumbprint || read.claims.iss.eq_ignore_ascii_case(&own) {
            self.check_own(text, &read.header, &read.claims).map(Some)
        } else {
            self.check_federated(text, &read.header, &read.claims).map(|()| None)
        }
    }

    fn check_own(&self, text: &str, header: &Header, body: &Body) -> Result<Used, TokenProblem> {
        if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
            return Err(TokenProblem::malformed_assertion("it is not signed by PS256 or RS256"));
        }
        let (thumbprint, old) = match (&header.x5t_s256, &header.x5t) {
            (Some(thumbprint), _) => (thumbprint, false),
            (None, Some(thumbprint)) => (thumbprint, true),
            (None, None) => return Err(TokenProblem::no_thumbprint()),
        };
        if let Some(app) = self.app {
            let known = app.certificates.iter().find(|certificate| certificate.is(thumbprint, old));
            let known = known.ok_or_else(|| TokenProblem::bad_certificate("The key was not found."))?;
            if !is_signed(text, header.alg, &known.key) {
                return Err(TokenProblem::bad_certificate("The key was found, the signature is another's."));
            }
            let now = i64::try_from(self.unix).unwrap_or(i64::MAX);
            if !(known.not_before.0..=known.not_after.0).contains(&now) {
                return Err(TokenProblem::bad_certificate("The key used is expired."));
            }
        }
        let own = self.client.to_string();
        if ![&body.iss, &body.sub].iter().all(|name| name.eq_ignore_ascii_case(&own)) {
            return Err(TokenProblem::another_app(self.client));
        }
        let here = |audience: &str| {
            let host_and_path = audience.split_once("://").map(|(_, rest)| rest);
            host_and_path.is_some_and(|given| given.eq_ignore_ascii_case(self.endpoint))
        };
        if !body.is_for(here) {
            return Err(TokenProblem::another_audience(self.endpoint));
        }
        body.in_time(self.unix, Some(self.longest))?;
        let jti = body.jti.clone().filter(|jti| !jti.is_empty());
        let jti = jti.ok_or_else(|| TokenProblem::malformed_assertion("there is no jti"))?;
        Ok(Used { key: (self.client, jti), until: u64::try_from(body.exp + SKEW).unwrap_or_default() })
    }

    fn check_federated(&self, text: &str, header: &Header, body: &Body) -> Result<(), TokenProblem> {
        // Entra ID takes no other from issuers.
        if header.alg != Algorithm::RS256 {
            return Err(TokenProblem::malformed_assertion("it is not signed by RS256"));
        }
        if let Some(app) = self.app {
            let mut left: Vec<_> = app.federated.iter().collect();
            if left.is_empty() {
                return Err(TokenProblem::not_federated(None));
            }
            left.retain(|known| known.issuer == body.iss);
            if left.is_empty() {
                return Err(TokenProblem::not_federated(Some(("issuer", &body.iss))));
            }
            left.retain(|known| body.is_for(|audience| audience == known.audience));
            if left.is_empty() {
                return Err(TokenProblem::not_federated(Some(("audience", &body.audience()))));
            }
            left.retain(|known| known.subject == body.sub);
            if left.is_empty() {
                return Err(TokenProblem::not_federated(Some(("subject", &body.sub))));
            }
            if !left.iter().any(|known| is_signed(text, header.alg, &known.key.0)) {
                return Err(TokenProblem::federated_signature());
            }
        } else if body.iss.is_empty() || body.sub.is_empty() || !body.is_for(|audience| !audience.is_empty())
        {
            return Err(TokenProblem::malformed_assertion("iss, sub or aud is missing"));
        }
        body.in_time(self.unix, None)
    }
}

/// Whether a text is signed with the private half of a key. Nothing else is looked at.
fn is_signed(text: &str, algorithm: Algorithm, key: &DecodingKey) -> bool {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    decode::<Value>(text, key, &validation).is_ok()
}
