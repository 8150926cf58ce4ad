use super::*;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use secrecy::ExposeSecret;
use std::path::PathBuf;
use std::sync::LazyLock;

/// The private key that all certificates here share, in PEM.
pub(in crate::config) static KEY: LazyLock<String> = LazyLock::new(fresh_key);

fn fresh_key() -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    rcgen::KeyPair::try_from(der.as_ref()).unwrap().serialize_pem()
}

/// A certificate in PEM for a private key in PEM, in force from the first day to the second one, UTC.
pub(in crate::config) fn certificate_for(key: &str, days: [(i32, u8, u8); 2]) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Contoso");
    params.distinguished_name.push(rcgen::DnType::CommonName, "presenced of\tContoso");
    let [begin, end] = days.map(|(year, month, day)| rcgen::date_time_ymd(year, month, day));
    (params.not_before, params.not_after) = (begin, end);
    params.self_signed(&rcgen::KeyPair::from_pem(key).unwrap()).unwrap().pem()
}

const DAYS: [(i32, u8, u8); 2] = [(2026, 1, 2), (2027, 3, 4)];

/// A directory, and what is in its files is read.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn one(&self, text: impl AsRef<[u8]>) -> Result<Certificate, CertificateError> {
        std::fs::write(self.path("one.pem"), text).unwrap();
        read(&CertificateFiles { certificate: self.path("one.pem"), key: None })
    }

    fn two(&self, certificate: &str, key: &str) -> Result<Certificate, CertificateError> {
        std::fs::write(self.path("a.crt"), certificate).unwrap();
        std::fs::write(self.path("a.key"), key).unwrap();
        read(&CertificateFiles { certificate: self.path("a.crt"), key: Some(self.path("a.key")) })
    }

    /// What is said, without the directory, and that no line of a key is in it.
    fn said(&self, read: Result<Certificate, CertificateError>) -> String {
        let error = read.expect_err("it is wrong");
        let said = format!("{error}\n  {}\n", error.advice());
        assert!(!format!("{said}{error:?}").contains(KEY.lines().nth(5).unwrap()));
        said.replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn a_certificate_is_read_with_its_key_from_one_file_or_two() {
    let files = Files::new();
    let certificate = certificate_for(&KEY, DAYS);
    let chain = certificate_for(&fresh_key(), [(2020, 1, 1), (2040, 1, 1)]);
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let thumbprint: [u8; 32] = Sha256::digest(&der).into();
    let bags = format!("Bag Attributes\n    friendlyName: x\n{certificate}\nKey Attributes:\n{}", *KEY);
    let crlf = format!("{certificate}{}", *KEY).replace('\n', "\r\n");
    for (how, read) in [
        ("key last", files.one(format!("{certificate}{}", *KEY))),
        ("key first", files.one(format!("{}{certificate}{chain}", *KEY))),
        ("bag attributes", files.one(bags)),
        ("CRLF", files.one(crlf)),
        ("two files", files.two(&format!("{certificate}{chain}"), &KEY)),
    ] {
        let read = read.unwrap_or_else(|error| panic!("{how}: {error}"));
        assert_eq!(read.thumbprint, thumbprint, "{how}");
        assert_eq!(read.subject.as_ref(), "presenced of Contoso");
        assert_eq!(read.not_before, "2026-01-02T00:00:00Z".parse().unwrap());
        assert_eq!(read.not_after, "2027-03-04T00:00:00Z".parse().unwrap());
        let key = read.key_pem().expose_secret();
        assert_eq!(key.replace("\r\n", "\n").trim_end(), KEY.trim_end(), "{how}: the key alone");
        assert!(!format!("{read:?}").contains(KEY.lines().nth(5).unwrap()));
    }
    // One file under two keys of the config is one file.
    let both = CertificateFiles { certificate: files.path("one.pem"), key: Some(files.path("one.pem")) };
    assert!(read(&both).is_ok());
}

#[test]
fn a_key_in_pkcs1_will_do() {
    let files = Files::new();
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    // The PKCS#1 key is what PKCS#8 ends with: version, algorithm and two headers of an RSA key have 26 bytes.
    let pkcs1 = &der.secret_pkcs8_der()[26..];
    let pkcs1 = ::pem::encode(&::pem::Pem::new("RSA PRIVATE KEY", pkcs1));
    assert!(files.two(&certificate_for(&KEY, DAYS), &pkcs1).is_ok());
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason_and_what_to_do() {
    let files = Files::new();
    let good = certificate_for(&KEY, DAYS);
    let (elliptic, edwards) = (
        rcgen::KeyPair::generate().unwrap().serialize_pem(),
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem(),
    );
    let kept = |name: &str| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/certificates");
        std::fs::read_to_string(directory.join(name)).unwrap()
    };
    let der = CertificateDer::from_pem_slice(good.as_bytes()).unwrap();
    let encrypted = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old_encrypted = KEY.replace("PRIVATE KEY", "RSA PRIVATE KEY").replacen(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
        1,
    );
    let missing = CertificateFiles { certificate: files.path("missing.pem"), key: None };
    let cases = [
        ("missing", read(&missing)),
        ("a directory", read(&CertificateFiles { certificate: files.0.path().join("."), key: None })),
        ("larger than 64 KiB", files.one("x".repeat(FILE_BYTES_MAX + 1))),
        ("no PEM", files.one("canary")),
        ("empty", files.one("")),
        ("PFX", files.one(b"\x30\x82\x0a\x01\x02\x01\x03\x30\x82\x09\xc7")),
        ("PFX, indefinite length", files.one(b"\x30\x80\x02\x01\x03\x30\x80")),
        ("DER", files.one(&der)),
        ("no certificate", files.one(KEY.as_str())),
        ("a broken certificate", files.one("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")),
        ("no certificate in it", files.one("-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n")),
        ("an EC certificate", files.one(certificate_for(&elliptic, DAYS))),
        ("an Ed25519 certificate", files.one(certificate_for(&edwards, DAYS))),
        ("PSS alone", files.one(kept("rsa-pss.pem"))),
        ("1,024 bits", files.one(kept("rsa-1024.pem"))),
        ("no key", files.one(&good)),
        ("no key in its file", files.two(&good, &good)),
        ("two keys", files.one(format!("{good}{}{}", *KEY, elliptic))),
        ("a key in both", files.two(&format!("{good}{}", *KEY), &KEY)),
        ("encrypted", files.one(format!("{good}{encrypted}"))),
        ("encrypted in the old way", files.two(&good, &old_encrypted)),
        ("an EC key", files.two(&good, &elliptic)),
        ("an EC key in its own form", files.two(&good, &elliptic.replace("PRIVATE", "EC PRIVATE"))),
        ("half a key", files.two(&good, &KEY[..KEY.len() / 2])),
        ("another's key", files.two(&good, &fresh_key())),
        ("the chain first", files.one(format!("{}{good}{}", certificate_for(&fresh_key(), DAYS), *KEY))),
    ];
    let count = cases.len();
    let said: String =
        cases.into_iter().map(|(case, read)| format!("{case}: {}", files.said(read))).collect();
    assert_eq!(count, 26);
    insta::assert_snapshot!(said);
}

#[test]
fn a_name_that_may_be_a_secret_is_not_repeated() {
    let files = CertificateFiles { certificate: "/etc/presenced/Zk9Qabcdefgh8sTr".into(), key: None };
    let error = read(&files).unwrap_err();
    assert!(!format!("{error}{}", error.advice()).contains("Zk9Q"));
}
