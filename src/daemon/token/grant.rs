//! What a request to the login authority asks with, one form for each.
//!
//! Sources: Microsoft's pages on the client credentials grant, the device authorization grant and refresh tokens of the
//! identity platform (v2.0); "Certificate credentials" for the assertion.

use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::Serializer;

use crate::keeper::id::ClientId;

/// The kind of the assertions below.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The device authorization grant (RFC 8628, section 3.4).
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a token is asked for with.
pub(super) enum Grant {
    /// The app's client secret.
    Secret(SecretString),
    /// A token that says who the app is, signed by its certificate's key or by a provider that it trusts.
    Assertion(SecretString),
    /// The refresh token of a user.
    Refresh(SecretString),
    /// The code of a device on which somebody signs in.
    Device(SecretString),
}

impl Grant {
    /// The form of a request. It holds the secret.
    pub(super) fn form(&self, client: ClientId, scope: &str, claims: Option<&str>) -> String {
        let (kind, name) = match self {
            Self::Secret(_) => ("client_credentials", "client_secret"),
            Self::Assertion(_) => ("client_credentials", "client_assertion"),
            Self::Refresh(_) => ("refresh_token", "refresh_token"),
            Self::Device(_) => (DEVICE_CODE, "device_code"),
        };
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", kind).append_pair("client_id", &client.to_string());
        if matches!(self, Self::Assertion(_)) {
            form.append_pair("client_assertion_type", JWT_BEARER);
        }
        form.append_pair(name, self.secret());
        // A device's code stands for the scope that it was made with.
        if !matches!(self, Self::Device(_)) {
            form.append_pair("scope", scope);
        }
        if let Some(claims) = claims {
            form.append_pair("claims", claims);
        }
        form.finish()
    }

    /// What no text may hold.
    pub(super) fn secret(&self) -> &str {
        let (Self::Secret(secret) | Self::Assertion(secret) | Self::Refresh(secret) | Self::Device(secret)) =
            self;
        secret.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
    const SCOPE: &str = "https://graph.microsoft.com/.default";

    fn fields(grant: &Grant, claims: Option<&str>) -> Vec<(String, String)> {
        let form = grant.form(CLIENT.parse().unwrap(), SCOPE, claims);
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
    }

    #[test]
    fn each_form_holds_its_fields_whatever_the_secret_is_made_of() {
        let secret = || SecretString::from("a+b&c=d%20~é");
        let cases = [
            (
                Grant::Secret(secret()),
                vec![
                    ("grant_type", "client_credentials"),
                    ("client_secret", "a+b&c=d%20~é"),
                    ("scope", SCOPE),
                ],
            ),
            (
                Grant::Assertion(secret()),
                vec![
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                    ("client_assertion", "a+b&c=d%20~é"),
                    ("scope", SCOPE),
                ],
            ),
            (
                Grant::Refresh(secret()),
                vec![("grant_type", "refresh_token"), ("refresh_token", "a+b&c=d%20~é"), ("scope", SCOPE)],
            ),
            (
                Grant::Device(secret()),
                vec![
                    ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                    ("device_code", "a+b&c=d%20~é"),
                ],
            ),
        ];
        for (grant, mut expected) in cases {
            expected.insert(1, ("client_id", CLIENT));
            let expected: Vec<_> =
                expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(fields(&grant, None), expected);
            let claimed = fields(&grant, Some(r#"{"a":1}"#));
            assert_eq!(claimed.last().unwrap(), &("claims".to_owned(), r#"{"a":1}"#.to_owned()));
            assert_eq!(claimed.len(), expected.len() + 1);
        }
    }
}
