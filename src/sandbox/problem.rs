//! The errors of the service: status, code and message, in the words that Graph was seen or is documented to use.

use std::borrow::Cow;

use super::query::Place;

/// One error, before it is put into Graph's envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// `error.code`.
    pub code: Cow<'static, str>,
    /// `error.message`.
    pub message: Cow<'static, str>,
    /// Whether the request itself was wrong. A correct client never causes one; a scripted fault is never one.
    pub invalid: bool,
    /// The claims challenge that comes with it: `nbf`, in seconds since 1970, of the token that is wanted.
    pub challenge: Option<u64>,
}

impl Problem {
    const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code: Cow::Borrowed(code),
            message: Cow::Borrowed(message),
            invalid: false,
            challenge: None,
        }
    }

    fn invalid(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: Cow::Borrowed(code), message: message.into(), invalid: true, challenge: None }
    }

    /// What a status says when nothing more is known of why.
    ///
    /// Source: Microsoft's page "Microsoft Graph error responses" and the bodies that users reported.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        let (code, message) = match status {
            400 => ("BadRequest", "Bad Request."),
            401 => return Self::token_rejected(),
            403 => ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
            404 => return Self::no_such_user(),
            409 => ("Conflict", "The request conflicts with the current state of the resource."),
            423 => ("Locked", "The resource that is being accessed is locked."),
            424 => ("FailedDependency", "A dependency of this request failed."),
            429 => ("TooManyRequests", "Please retry again later."),
            500 => {
                ("InternalServerError", "There was an internal server error while processing the request.")
            }
            502 => ("BadGateway", "An error has occurred."),
            503 => ("ServiceUnavailable", "The service is unavailable. Try the request again after a delay."),
            504 => {
                ("GatewayTimeout", "The server did not receive a timely response from an upstream server.")
            }
            507 => ("InsufficientStorage", "The maximum storage quota has been reached."),
            509 => ("BandwidthLimitExceeded", "Your app has been throttled for exceeding the bandwidth cap."),
            _ => ("UnknownError", ""),
        };
        Self::new(status, code, message)
    }

    /// The token is unknown, over or revoked.
    #[must_use]
    pub const fn token_rejected() -> Self {
        Self::new(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
    }

    /// There is no token at all.
    #[must_use]
    pub fn token_missing() -> Self {
        Self::invalid(401, "InvalidAuthenticationToken", "Access token is empty.")
    }

    /// The token is good, and something has happened since that it must be given anew for.
    #[must_use]
    pub fn insufficient_claims(nbf: u64) -> Self {
        let message = "Continuous access evaluation resulted in challenge with result: InteractionRequired and \
                       code: TokenIssuedBeforeRevocationTimestamp";
        Self { challenge: Some(nbf), ..Self::new(401, "InvalidAuthenticationToken", message) }
    }

    /// What a delegated client is told about someone else's presence, and what a user under a scripted 401 gets. Source:
    /// reports of users; Microsoft's pages name no status for it.
    #[must_use]
    pub const fn another_user() -> Self {
        Self::new(401, "Unauthorized", "Cannot set the presence of another user.")
    }

    /// The user is not in the directory.
    #[must_use]
    pub const fn no_such_user() -> Self {
        Self::new(
            404,
            "Request_ResourceNotFound",
            "Resource does not exist or one of its queried references is not present.",
        )
    }

    /// The path does not name a user by object id.
    #[must_use]
    pub fn not_an_object_id() -> Self {
        Self { invalid: true, ..Self::no_such_user() }
    }

    /// clearPresence, and the app has no session.
    #[must_use]
    pub const fn no_session() -> Self {
        Self::new(404, "NotFound", "The presence session was not found.")
    }

    /// The body is no JSON object of the expected shape.
    #[must_use]
    pub fn unreadable(why: &str) -> Self {
        Self::invalid(400, "BadRequest", format!("Unable to read JSON request payload. {why}"))
    }

    /// The pair of availability and activity is not one that the call takes.
    #[must_use]
    pub fn unsupported_pair(availability: &str, activity: &str) -> Self {
        let pair = format!("{} / {}", shortened(availability), shortened(activity));
        Self::invalid(400, "InvalidArgument", format!("Unsupported availability and activity: {pair}."))
    }

    /// The duration has not the shape of one.
    #[must_use]
    pub fn no_duration(text: &str) -> Self {
        let text = shortened(text);
        let message = format!("Cannot convert the literal '{text}' to the expected type 'Edm.Duration'.");
        Self::invalid(400, "BadRequest", message)
    }

    /// The duration is not within PT5M and PT4H.
    #[must_use]
    pub fn expiration_out_of_range() -> Self {
        Self::invalid(400, "InvalidArgument", "The provided [ExpirationDuration] is out of range.")
    }

    /// The session id is not the calling application's id.
    #[must_use]
    pub fn foreign_session() -> Self {
        Self::invalid(
            400,
            "InvalidArgument",
            "The provided [SessionId] is not the id of the calling application.",
        )
    }

    /// An object that is not in the directory.
    #[must_use]
    pub fn no_such_object(name: &str) -> Self {
        let message = format!(
            "Resource '{}' does not exist or one of its queried reference-property objects are not present.",
            shortened(name)
        );
        Self { message: message.into(), ..Self::no_such_user() }
    }

    /// A group is named by something else than an object id.
    #[must_use]
    pub fn bad_identifier(name: &str) -> Self {
        let message = format!("Invalid object identifier '{}'.", shortened(name));
        Self::invalid(400, "Request_BadRequest", message)
    }

    /// `$select` names a property that there is not.
    #[must_use]
    pub fn no_such_property(name: &str, place: &Place) -> Self {
        let of = if matches!(place, Place::Group(_)) { "group" } else { "user" };
        let message = format!(
            "Parsing OData Select and Expand failed: Could not find a property named '{}' on type \
             'microsoft.graph.{of}'.",
            shortened(name)
        );
        Self::invalid(400, "BadRequest", message)
    }

    /// `$top` is not within 1 and 999.
    #[must_use]
    pub fn bad_page_size(text: &str) -> Self {
        let text = shortened(text);
        let message = format!("Invalid page size specified: '{text}'. Must be between 1 and 999 inclusive.");
        Self::invalid(400, "Request_UnsupportedQuery", message)
    }

    /// A query option that this call does not have, or the sandbox does not serve.
    #[must_use]
    pub fn unsupported_option(name: &str) -> Self {
        let message = format!("Unsupported Query: ${} is not served here.", shortened(name));
        Self::invalid(400, "Request_UnsupportedQuery", message)
    }

    /// A `$skiptoken` that was not given for this query.
    #[must_use]
    pub fn bad_page_token() -> Self {
        Self::invalid(400, "Request_BadRequest", "The specified page token value is invalid.")
    }

    /// A `$skiptoken` that was given too long ago. Seen by users, documented nowhere: to begin anew is what helps.
    #[must_use]
    pub const fn expired_page_token() -> Self {
        const MESSAGE: &str =
            "The specified page token value has expired and can no longer be included in your request.";
        Self::new(400, "Directory_ExpiredPageToken", MESSAGE)
    }

    /// More ids than one read takes. Seen without any text.
    #[must_use]
    pub fn too_many_ids() -> Self {
        Self::invalid(400, "", "")
    }

    /// Nothing is served there.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::invalid(404, "UnknownError", "Resource not found for the segment.")
    }

    /// Something is served there, for another method.
    #[must_use]
    pub fn wrong_method() -> Self {
        Self::invalid(405, "MethodNotAllowed", "The HTTP method is not allowed on this resource.")
    }

    /// The body is larger than is read.
    #[must_use]
    pub fn too_large() -> Self {
        Self::invalid(413, "RequestEntityTooLarge", "The size of the request exceeds the maximum limit.")
    }

    /// The body is not announced as JSON.
    #[must_use]
    pub fn not_json() -> Self {
        Self::invalid(415, "UnsupportedMediaType", "The Content-Type of the request is not application/json.")
    }

    /// A `$batch` that breaks the rules of one.
    #[must_use]
    pub fn bad_batch(why: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid(400, "BadRequest", why)
    }
}

/// At most 64 characters of what a client sent, for an echo of it.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
