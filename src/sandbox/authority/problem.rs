//! The errors of the token endpoint: status, `error`, the number after AADSTS, and the sentence behind it.
//!
//! Source, unless another is named: Microsoft's page "Microsoft Entra authentication and authorization error codes".
//! The sentences are the endpoint's own in substance, for people; nobody may act on them.

use std::borrow::Cow;

use uuid::Uuid;

/// One error of the token endpoint.
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
    /// Whether the request itself was wrong. A correct client never causes one; a wrong secret is its operator's.
    pub invalid: bool,
}

impl TokenProblem {
    fn new(status: u16, error: &'static str, code: u32, message: impl Into<String>) -> Self {
        Self { status, error: Cow::Borrowed(error), code, message: message.into(), invalid: false }
    }

    fn bad_client(code: u32, message: impl Into<String>) -> Self {
        Self::new(401, "invalid_client", code, message)
    }

    fn bad_grant(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_grant", code, message)
    }

    fn invalid(self) -> Self {
        Self { invalid: true, ..self }
    }

    /// What a scripted error of this name looks like; `code` is another number than the usual one of the name.
    #[must_use]
    pub(super) fn named(status: u16, error: &str, code: Option<u32>) -> Self {
        let (usual, message) = match error {
            "invalid_client" => (7_000_215, "Invalid client secret provided."),
            "unauthorized_client" => (700_016, "Application was not found in the directory."),
            "invalid_grant" => {
                (70_021, "No matching federated identity record found for presented assertion.")
            }
            "interaction_required" => (50_076, "You must use multi-factor authentication."),
            "temporarily_unavailable" => (90_033, "A transient error has occurred. Please try again."),
            _ => (90_002, "The request cannot be served."),
        };
        let message = if code.is_some_and(|code| code != usual) { "An error by script." } else { message };
        let code = code.unwrap_or(usual);
        Self {
            status,
            error: Cow::Owned(error.to_owned()),
            code,
            message: message.to_owned(),
            invalid: false,
        }
    }
}

/// The form of a request.
impl TokenProblem {
    pub(super) fn missing(parameter: &str) -> Self {
        let message = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new(400, "invalid_request", 900_144, message).invalid()
    }

    pub(super) fn both_proofs() -> Self {
        let message = "The request must contain either 'client_assertion' or 'client_secret', not both.";
        Self::new(400, "invalid_request", 90_023, message).invalid()
    }

    pub(super) fn unsupported_grant(grant_type: &str) -> Self {
        let message = format!("The app requested an unsupported grant type '{}'.", shortened(grant_type));
        Self::new(400, "unsupported_grant_type", 70_003, message).invalid()
    }

    pub(super) fn claims_unreadable() -> Self {
        let message = "The request is malformed or invalid: 'claims' is no claims request.";
        Self::new(400, "invalid_request", 9_002_313, message).invalid()
    }

    /// Client credentials name a resource and `/.default`, nothing else.
    pub(super) fn no_default_scope(scope: &str) -> Self {
        let message = format!(
            "The provided value for scope {} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier.",
            shortened(scope)
        );
        Self::new(400, "invalid_scope", 1_002_012, message).invalid()
    }

    pub(super) fn bad_scope(scope: &str) -> Self {
        let message =
            format!("The provided value for the input parameter 'scope' isn't valid: {}", shortened(scope));
        Self::new(400, "invalid_scope", 70_011, message).invalid()
    }
}

/// The tenant, the app and what stands between it and a token.
impl TokenProblem {
    pub(super) fn no_tenant(tenant: &str) -> Self {
        let tenant = shortened(tenant);
        let message =
            format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        Self::new(400, "invalid_request", 90_002, message)
    }

    pub(super) fn no_app(client: &str, tenant: Uuid) -> Self {
        let client = shortened(client);
        let message =
            format!("Application with identifier '{client}' was not found in the directory '{tenant}'.");
        Self::new(400, "unauthorized_client", 700_016, message)
    }

    pub(super) fn no_resource(resource: &str, tenant: Uuid) -> Self {
        let resource = shortened(resource);
        let message =
            format!("The resource principal named {resource} was not found in the tenant named {tenant}.");
        Self::new(400, "invalid_resource", 500_011, message)
    }

    pub(super) fn disabled(client: Uuid) -> Self {
        Self::new(400, "unauthorized_client", 7_000_112, format!("Application '{client}' is disabled."))
    }

    pub(super) fn no_consent(client: Uuid) -> Self {
        let message = format!(
            "The user or administrator has not consented to use the application with ID '{client}'. Send an \
             interactive authorization request for this user and resource."
        );
        Self::bad_grant(65_001, message)
    }

    pub(super) fn blocked() -> Self {
        Self::bad_grant(53_003, "Access has been blocked by Conditional Access policies.")
    }
}

/// The app's proof.
impl TokenProblem {
    /// The app must prove who it is, and a public client may not ask in its name.
    pub(super) fn no_proof() -> Self {
        let message =
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        Self::bad_client(7_000_218, message)
    }

    pub(super) fn wrong_secret(client: Uuid) -> Self {
        let message = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
             value, not the client secret ID, for a secret added to app '{client}'."
        );
        Self::bad_client(7_000_215, message)
    }

    pub(super) fn expired_secret(client: Uuid) -> Self {
        Self::bad_client(
            7_000_222,
            format!("The provided client secret keys for app '{client}' are expired."),
        )
    }

    pub(super) fn malformed_assertion(why: &str) -> Self {
        Self::bad_client(50_027, format!("JWT token is invalid or malformed: {why}.")).invalid()
    }

    pub(super) fn no_thumbprint() -> Self {
        let message = "Invalid JWT token. No certificate thumbprint is specified in the token header.";
        Self::bad_client(5_002_723, message).invalid()
    }

    /// Neither is the client's own mistake: its certificate is not the registered one, or is over.
    pub(super) fn bad_certificate(reason: &str) -> Self {
        Self::bad_client(
            700_027,
            format!("Client assertion failed signature validation. [Reason - {reason}]"),
        )
    }

    pub(super) fn another_app(client: Uuid) -> Self {
        let message = format!(
            "Client assertion application identifier doesn't match 'client_id' parameter '{client}'."
        );
        Self::bad_client(700_021, message).invalid()
    }

    pub(super) fn another_audience(endpoint: &str) -> Self {
        let message =
            format!("Client assertion audience claim does not match the realm issuer: expected {endpoint}.");
        Self::bad_client(700_023, message).invalid()
    }

    pub(super) fn out_of_time(now: u64, from: Option<i64>, until: i64) -> Self {
        let from = from.map_or_else(|| "ever".to_owned(), |from| from.to_string());
        let message = format!(
            "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {from}, \
             expiry time of assertion {until}."
        );
        Self::bad_client(700_024, message)
    }

    /// No page names a number for it. This is the one for an assertion that is invalid for any of several reasons.
    pub(super) fn replayed() -> Self {
        Self::bad_client(50_013, "Assertion is invalid: its 'jti' has been used before.").invalid()
    }

    pub(super) fn federated_signature() -> Self {
        let message = "Assertion failed signature validation. [Reason - The key was not found.]";
        Self::bad_client(50_013, message)
    }

    /// What of a federated token is not registered. `part` is its name in the token: absent where the app has no
    /// federated credential at all. Source: the numbers seen in public issues of azure-workload-identity and
    /// azure/login.
    pub(super) fn not_federated(part: Option<(&str, &str)>) -> Self {
        let code = match part {
            Some(("issuer", _)) => 700_211,
            Some(("audience", _)) => 700_212,
            Some(_) => 700_213,
            None => 70_021,
        };
        let part = part.map_or_else(String::new, |(name, value)| format!(" {name} '{}'", shortened(value)));
        let message = format!("No matching federated identity record found for presented assertion{part}.");
        Self::bad_client(code, message)
    }
}

/// Signing in by device code. The names are those of RFC 8628 and of Microsoft's page on the device authorization
/// grant.
impl TokenProblem {
    pub(super) fn pending() -> Self {
        let message = "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
        Self::new(400, "authorization_pending", 70_016, message)
    }

    /// No page names a number for it: it is pending all the same.
    pub(super) fn slow_down() -> Self {
        let message = "OAuth 2.0 device flow error. Authorization is pending. Poll less often.";
        Self::new(400, "slow_down", 70_016, message).invalid()
    }

    pub(super) fn declined() -> Self {
        Self::new(400, "authorization_declined", 65_004, "User declined to consent to access the app.")
    }

    pub(super) fn code_expired() -> Self {
        Self::new(400, "expired_token", 70_019, "Verification code expired. Have the user retry the sign-in.")
    }

    pub(super) fn bad_code() -> Self {
        Self::new(400, "bad_verification_code", 70_018, "Invalid verification code.")
    }
}

/// Refresh tokens.
impl TokenProblem {
    pub(super) fn bad_refresh() -> Self {
        Self::bad_grant(70_000, "The provided grant is invalid or malformed.")
    }

    pub(super) fn idle_refresh() -> Self {
        Self::bad_grant(700_082, "The refresh token has expired due to inactivity.")
    }

    pub(super) fn old_refresh() -> Self {
        Self::bad_grant(
            70_008,
            "The provided authorization code or refresh token has expired or been replaced.",
        )
    }

    pub(super) fn revoked_refresh() -> Self {
        let message = "The provided grant has expired due to it being revoked, a fresh auth token is needed.";
        Self::bad_grant(50_173, message)
    }
}

/// At most 128 characters of what a client sent, for an echo of it.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}
