//! A certificate that an app is registered with.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::pem::parse_x509_pem;

use super::registration::UnixTime;

/// One certificate with an RSA key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// `x5t#S256` of assertions that are signed with its key: base64url of the digest of its DER.
    pub thumbprint: String,
    /// `x5t`, the same by SHA-1.
    pub old_thumbprint: String,
    /// From when on it is valid.
    pub not_before: UnixTime,
    /// Until when.
    pub not_after: UnixTime,
    /// The key.
    pub(super) key: DecodingKey,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    fn read(pem: &str) -> Result<Self, &'static str> {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| "a certificate is written as PEM")?;
        let certificate = pem.parse_x509().map_err(|_| "a certificate cannot be read")?;
        let key = certificate.public_key();
        if key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
            return Err("the key of a certificate is an RSA key");
        }
        let validity = certificate.validity();
        Ok(Self {
            thumbprint: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&pem.contents)),
            old_thumbprint: BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &pem.contents)),
            not_before: UnixTime(validity.not_before.timestamp()),
            not_after: UnixTime(validity.not_after.timestamp()),
            key: DecodingKey::from_rsa_der(&key.subject_public_key.data),
        })
    }

    /// Whether it is the one of a thumbprint, in base64 with either alphabet, padded or not: clients do both.
    pub(super) fn is(&self, thumbprint: &str, old: bool) -> bool {
        let own = if old { &self.old_thumbprint } else { &self.thumbprint };
        *own == thumbprint.trim_end_matches('=').replace('+', "-").replace('/', "_")
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("x5t#S256", &self.thumbprint)?;
        map.serialize_entry("not_before", &self.not_before)?;
        map.serialize_entry("not_after", &self.not_after)?;
        map.end()
    }
}
