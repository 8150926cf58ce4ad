//! Why a certificate cannot be used, and what to do.

use std::path::{Path, PathBuf};

use crate::config::private::NotRead;
use crate::config::secret::named;

/// Why a certificate cannot be used. A file's name that looks like a secret is not repeated: it may have been written in
/// its place.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is not there.
    #[error("the file {} does not exist", named(.0))]
    Missing(PathBuf),
    /// A file is there, and not for this user.
    #[error("this user may not read the file {}", named(.0))]
    Forbidden(PathBuf),
    /// A file is no regular file, or reading it failed.
    #[error("the file {} cannot be read: {why}", named(path))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// More than 64 KiB.
    #[error("{} holds no certificate and no key: it is larger than 64 KiB", named(.0))]
    TooLarge(PathBuf),
    /// PKCS#12, as Windows and Key Vault export it.
    #[error("{} is a PFX file (PKCS#12), and PEM is needed", named(.0))]
    Pfx(PathBuf),
    /// DER.
    #[error("{} is DER, and PEM is needed", named(.0))]
    Der(PathBuf),
    /// Something else.
    #[error("{} is no PEM: it has no line `-----BEGIN ...-----`", named(.0))]
    NotPem(PathBuf),
    /// There is no certificate in the file that should have it.
    #[error("there is no certificate in {}", named(.0))]
    NoCertificate(PathBuf),
    /// What says that it is a certificate is none.
    #[error("the certificate in {} is broken", named(.0))]
    CertificateBroken(PathBuf),
    /// PS256 needs an RSA key.
    #[error("the certificate in {} is for {kind}, and a plain RSA key is needed", named(path))]
    Kind {
        /// Where the certificate is.
        path: PathBuf,
        /// What it is for.
        kind: &'static str,
    },
    /// Fewer than 2,048 bits.
    #[error("the certificate in {} is for an RSA key of {bits} bits, and 2,048 are needed", named(path))]
    TooShort {
        /// Where the certificate is.
        path: PathBuf,
        /// How long the key is.
        bits: usize,
    },
    /// There is no private key in the file that should have it.
    #[error("there is no private key in {}", named(.0))]
    NoKey(PathBuf),
    /// Which of them is meant?
    #[error("there is more than one private key in {}", named(.0))]
    TwoKeys(PathBuf),
    /// Which of them is meant?
    #[error("there is a private key in {}, and another one is named: {}", named(certificate), named(key))]
    KeyInBoth {
        /// Where the certificate is, and a key.
        certificate: PathBuf,
        /// Where the key is to be.
        key: PathBuf,
    },
    /// It has a passphrase.
    #[error("the private key in {} is encrypted", named(.0))]
    KeyEncrypted(PathBuf),
    /// It cannot be read as an RSA key that signs.
    #[error("the private key in {} is broken, or no RSA key of 2,048 to 8,192 bits", named(.0))]
    KeyUnusable(PathBuf),
    /// The key is a good one, and not this certificate's.
    #[error("the private key in {} is not that of the certificate", named(.0))]
    AnotherKey(PathBuf),
}

impl CertificateError {
    pub(super) fn not_read(path: &Path, why: NotRead) -> Self {
        let path = path.to_owned();
        match why {
            NotRead::Missing => Self::Missing(path),
            NotRead::Forbidden => Self::Forbidden(path),
            NotRead::Other(why) => Self::Unreadable { path, why },
        }
    }

    /// Says what a file is instead that has no PEM in it.
    pub(super) fn no_pem(path: &Path, bytes: &[u8]) -> Self {
        let path = path.to_owned();
        match within_sequence(bytes) {
            // Source: RFC 7292, section 4: a PFX begins with its version, which is 3.
            Some([2, 1, 3, ..]) => Self::Pfx(path),
            Some(_) => Self::Der(path),
            None => Self::NotPem(path),
        }
    }

    /// Which file is to blame.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing(path)
            | Self::Forbidden(path)
            | Self::Unreadable { path, .. }
            | Self::TooLarge(path)
            | Self::Pfx(path)
            | Self::Der(path)
            | Self::NotPem(path)
            | Self::NoCertificate(path)
            | Self::CertificateBroken(path)
            | Self::Kind { path, .. }
            | Self::TooShort { path, .. }
            | Self::NoKey(path)
            | Self::TwoKeys(path)
            | Self::KeyInBoth { key: path, .. }
            | Self::KeyEncrypted(path)
            | Self::KeyUnusable(path)
            | Self::AnotherKey(path) => path,
        }
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> String {
        let fixed = match self {
            Self::Pfx(path) => {
                return format!("convert it: openssl pkcs12 -in {} -out new.pem -nodes", named(path));
            }
            Self::Der(path) => {
                return format!(
                    "convert it: openssl x509 -inform der -in {0} -out new.pem; a key: openssl pkey -inform der -in {0} \
                     -out new.pem",
                    named(path)
                );
            }
            Self::KeyEncrypted(path) => {
                return format!(
                    "put it there without a passphrase, which nobody would type: openssl pkey -in {} -out new.key; who \
                     may read the file is what protects it",
                    named(path)
                );
            }
            Self::Missing(_) => "create it; a path is relative to the file that names it",
            Self::Forbidden(_) => "let the daemon's user read it, and nobody else",
            Self::Unreadable { .. } => "it must be a regular file",
            Self::TooLarge(_) | Self::NotPem(_) | Self::CertificateBroken(_) | Self::NoCertificate(_) => {
                "a PEM file is needed, first the app's own certificate: -----BEGIN CERTIFICATE-----"
            }
            Self::Kind { .. } | Self::TooShort { .. } => {
                "Entra ID takes PS256 alone: make a certificate with an RSA key of 2,048 bits or more"
            }
            Self::NoKey(_) => {
                "put the private key into the file, below the certificate, or name its file: key_file"
            }
            Self::TwoKeys(_) => "leave the certificate's own key in it, and take the others out",
            Self::KeyInBoth { .. } => "take the key out of the certificate's file, or leave out key_file",
            Self::KeyUnusable(_) => "put the RSA key in it with which the certificate was made",
            Self::AnotherKey(_) => {
                "put the app's own certificate first in its file, before a chain, and its own key with it"
            }
        };
        fixed.to_owned()
    }
}

/// What is within the sequence that a text in DER begins with.
fn within_sequence(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        // The length in this byte, in as many more bytes as it says, or not said (BER).
        [0x30, length @ 0x80..=0x84, rest @ ..] => rest.get(usize::from(length & 0x0f)..),
        [0x30, 0x02..=0x7f, rest @ ..] => Some(rest),
        _ => None,
    }
}
