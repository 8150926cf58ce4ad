//! The way in by client secret: OAuth 2.0 client credentials with a shared secret.
//!
//! Source of the fields: Microsoft's page on the client credentials grant of the identity platform (v2.0).

use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::Serializer;

use crate::keeper::id::ClientId;

/// The form of a token request. It holds the secret.
pub(super) fn form(client: ClientId, secret: &SecretString, scope: &str) -> String {
    Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &client.to_string())
        .append_pair("client_secret", secret.expose_secret())
        .append_pair("scope", scope)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_holds_the_four_fields_whatever_the_secret_is_made_of() {
        let client = "22553876-f5ab-4529-bffb-cfe50aa89f87".parse().unwrap();
        let secret = SecretString::from("a+b&c=d%20~é");
        let form = form(client, &secret, "https://graph.microsoft.com/.default");
        let fields: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).collect();
        let expected = [
            ("grant_type", "client_credentials"),
            ("client_id", "22553876-f5ab-4529-bffb-cfe50aa89f87"),
            ("client_secret", "a+b&c=d%20~é"),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
