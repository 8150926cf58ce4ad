//! A certificate and its private key, by which an app proves who it is: reading them, and saying what is wrong with
//! them. The key is held as [`SecretString`] and never printed. Whether the certificate is in force at some time is for
//! the caller to see.
//!
//! Entra ID takes assertions that are signed with PS256, so the key is an RSA key. Source: the page "Microsoft identity
//! platform application authentication certificate credentials".

mod error;
mod pem;

use std::path::Path;

use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use secrecy::SecretString;
use secrecy::zeroize::Zeroize;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use super::private::{self, Access};
use super::settings::CertificateFiles;
use pem::Block;

pub use error::CertificateError;

/// The largest file, in bytes. A certificate and its key have some 4 KiB, a long chain 20 KiB.
const FILE_BYTES_MAX: usize = 64 << 10;
/// The shortest RSA key, in bits: what the login authority takes, and the library that signs.
const RSA_BITS_MIN: usize = 2_048;
/// The longest subject that is shown, in characters.
const SUBJECT_CHARS_MAX: usize = 64;

/// A certificate with its private key.
#[derive(Debug)]
pub struct Certificate {
    /// SHA-256 of its DER: what Entra knows it by (`x5t#S256`).
    pub thumbprint: [u8; 32],
    /// It is in force from this time on.
    pub not_before: Timestamp,
    /// And up to this one.
    pub not_after: Timestamp,
    /// Who it is for, to tell people: the common name, or the whole subject where it has none. One line, at most 64
    /// characters.
    pub subject: Box<str>,
    key: SecretString,
}

impl Certificate {
    /// The private key alone, in PEM, as PKCS#8 or PKCS#1. It is an RSA key of 2,048 to 8,192 bits.
    #[must_use]
    pub fn key_pem(&self) -> &SecretString {
        &self.key
    }
}

/// Reads a certificate and its key, anew at each call: they may have been replaced. The files are read one after the
/// other, so for a moment in which one of them is the new one, the key is that of another certificate.
///
/// # Errors
///
/// A file is not there, not readable, larger than 64 KiB or no PEM; there is no certificate, no key or more than one; the
/// key is encrypted, no RSA key, too short, or that of another certificate.
pub fn read(files: &CertificateFiles) -> Result<Certificate, CertificateError> {
    read_kept(files).map(|kept| kept.certificate)
}

/// A certificate, and how its key is kept.
pub(super) struct Kept<'f> {
    pub(super) certificate: Certificate,
    /// The file with the key.
    pub(super) key_file: &'f Path,
    pub(super) access: Access,
}

pub(super) fn read_kept(files: &CertificateFiles) -> Result<Kept<'_>, CertificateError> {
    let path = files.certificate.as_path();
    let file = File::read(path)?;
    let blocks = file.blocks()?;
    let certificate = blocks.iter().find(|block| block.label == "CERTIFICATE");
    let certificate = certificate.ok_or_else(|| CertificateError::NoCertificate(path.to_owned()))?;
    let certificate = CertificateDer::from_pem_slice(certificate.text)
        .map_err(|_| CertificateError::CertificateBroken(path.to_owned()))?;
    let (_, parsed) = X509Certificate::from_der(&certificate)
        .map_err(|_| CertificateError::CertificateBroken(path.to_owned()))?;
    check_kind(path, &parsed)?;

    let key_path = files.key.as_deref().unwrap_or(path);
    let (key, access) = if key_path == path {
        (key_in(path, &blocks, &parsed)?, file.private.access)
    } else if blocks.iter().any(Block::is_key) {
        return Err(CertificateError::KeyInBoth { certificate: path.to_owned(), key: key_path.to_owned() });
    } else {
        let file = File::read(key_path)?;
        (key_in(key_path, &file.blocks()?, &parsed)?, file.private.access)
    };
    let validity = parsed.validity();
    let certificate = Certificate {
        thumbprint: Sha256::digest(&certificate).into(),
        not_before: timestamp(validity.not_before),
        not_after: timestamp(validity.not_after),
        subject: subject(&parsed),
        key,
    };
    Ok(Kept { certificate, key_file: key_path, access })
}

struct File<'f> {
    path: &'f Path,
    private: private::Private,
}

impl<'f> File<'f> {
    fn read(path: &'f Path) -> Result<Self, CertificateError> {
        let private =
            private::read(path, FILE_BYTES_MAX).map_err(|why| CertificateError::not_read(path, why))?;
        if private.bytes.len() > FILE_BYTES_MAX {
            return Err(CertificateError::TooLarge(path.to_owned()));
        }
        Ok(Self { path, private })
    }

    /// What is in it, at least one block.
    fn blocks(&self) -> Result<Vec<Block<'_>>, CertificateError> {
        let blocks = pem::blocks(&self.private.bytes);
        if blocks.is_empty() {
            let bytes = &self.private.bytes;
            return Err(CertificateError::no_pem(self.path, bytes));
        }
        Ok(blocks)
    }
}

/// Whether a certificate is one for PS256.
fn check_kind(path: &Path, certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    let public = certificate.public_key();
    let kind = match public.parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < RSA_BITS_MIN => {
            return Err(CertificateError::TooShort { path: path.to_owned(), bits: key.key_size() });
        }
        Ok(PublicKey::RSA(_)) => return Ok(()),
        Ok(PublicKey::EC(_)) => "an elliptic curve key",
        _ => match public.algorithm.algorithm.to_id_string().as_str() {
            // Source: RFC 8410, section 3, and RFC 8017, appendix A.2.3.
            "1.3.101.112" => "an Ed25519 key",
            "1.2.840.113549.1.1.10" => "an RSA key for PSS alone",
            _ => "a key of another kind",
        },
    };
    Err(CertificateError::Kind { path: path.to_owned(), kind })
}

/// The one private key among the blocks of a file, which must be the certificate's.
fn key_in(
    path: &Path,
    blocks: &[Block<'_>],
    certificate: &X509Certificate<'_>,
) -> Result<SecretString, CertificateError> {
    let mut keys = blocks.iter().filter(|block| block.is_key());
    let key = keys.next().ok_or_else(|| CertificateError::NoKey(path.to_owned()))?;
    if keys.next().is_some() {
        return Err(CertificateError::TwoKeys(path.to_owned()));
    }
    if key.is_encrypted() {
        return Err(CertificateError::KeyEncrypted(path.to_owned()));
    }
    let broken = || CertificateError::KeyUnusable(path.to_owned());
    let pair = match key.label {
        "PRIVATE KEY" => {
            let mut der = PrivatePkcs8KeyDer::from_pem_slice(key.text).map_err(|_| broken())?;
            let pair = KeyPair::from_pkcs8(der.secret_pkcs8_der());
            der.zeroize();
            pair
        }
        "RSA PRIVATE KEY" => {
            let mut der = PrivatePkcs1KeyDer::from_pem_slice(key.text).map_err(|_| broken())?;
            let pair = KeyPair::from_der(der.secret_pkcs1_der());
            der.zeroize();
            pair
        }
        _ => return Err(broken()),
    };
    let pair = pair.map_err(|_| broken())?;
    if pair.public_key().as_ref() != certificate.public_key().subject_public_key.data.as_ref() {
        return Err(CertificateError::AnotherKey(path.to_owned()));
    }
    let text = std::str::from_utf8(key.text).map_err(|_| broken())?;
    Ok(SecretString::from(text))
}

fn timestamp(time: ASN1Time) -> Timestamp {
    let end = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.timestamp()).unwrap_or(end)
}

fn subject(certificate: &X509Certificate<'_>) -> Box<str> {
    let subject = certificate.subject();
    let name = subject.iter_common_name().find_map(|name| name.as_str().ok());
    let name = name.map_or_else(|| subject.to_string(), str::to_owned);
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    name.chars().take(SUBJECT_CHARS_MAX).map(printable).collect::<String>().into()
}

#[cfg(test)]
pub(super) mod tests;
