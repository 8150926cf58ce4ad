//! An RSA key and its certificate, and assertions that are signed with it. Key and assertions are searched for wherever they
//! must not be.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::secrecy;

/// A key, and the texts that are registered of it.
pub struct Keys {
    /// The public key.
    pub public: String,
    /// A certificate of it that is valid for very long.
    pub certificate: String,
    thumbprint: String,
    private: String,
    signs: EncodingKey,
}

impl Keys {
    /// A new one. It takes a moment.
    pub fn make() -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let params = CertificateParams::new(["presenced".to_owned()]).unwrap();
        let certificate = params.self_signed(&pair).unwrap();
        Self {
            signs: EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(),
            thumbprint: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der())),
            certificate: certificate.pem(),
            private: pair.serialize_pem(),
            public: pair.public_key_pem(),
        }
    }

    /// The certificate with its key, as an app has it.
    pub fn with_key(&self) -> String {
        format!("{}{}", self.certificate, self.private)
    }

    /// One for all tests that need but one.
    pub fn shared() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(Self::make)
    }

    /// An assertion of an app for a token endpoint, valid for five minutes from now, with some claims changed.
    pub fn assertion(&self, endpoint: &str, client: &str, changed: &Value) -> String {
        let header = Header { x5t_s256: Some(self.thumbprint.clone()), ..Header::new(Algorithm::PS256) };
        let now = unix();
        let claims = json!({
            "aud": endpoint, "iss": client, "sub": client, "jti": Uuid::new_v4(),
            "nbf": now, "iat": now, "exp": now + 300,
        });
        self.sign(&header, claims, changed)
    }

    /// A token of an issuer for Entra ID, valid for an hour from now, with some claims changed.
    pub fn federated(&self, issuer: &str, subject: &str, changed: &Value) -> String {
        let now = unix();
        let claims = json!({
            "aud": ["api://AzureADTokenExchange"], "iss": issuer, "sub": subject,
            "nbf": now, "iat": now, "exp": now + 3_600,
        });
        self.sign(&Header::new(Algorithm::RS256), claims, changed)
    }

    fn sign(&self, header: &Header, mut claims: Value, changed: &Value) -> String {
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let assertion = encode(header, &claims, &self.signs).unwrap();
        secrecy::secrets_of(&self.private).chain([&*assertion]).for_each(secrecy::keep);
        assertion
    }
}

/// Seconds since 1970.
pub fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
