//! What no test may bring to light. It is searched for by itself: in the log of every daemon and in what it keeps, when
//! they are dropped, in what every command says, and in what the sandbox says of its clients.
//!
//! What is searched for: every credential that a test writes or makes, every secret that passes a [`Meddler`] on its way
//! to the service or back (secrets, assertions, tokens, refresh tokens, codes, by value), and whatever looks like one.
//!
//! [`Meddler`]: crate::meddler::Meddler

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use url::form_urlencoded;

use crate::daemon::{Daemon, presenced};
use crate::exits::heard;
use crate::site::Site;

/// Everything of the daemon and of its libraries.
pub const TRACE: [&str; 2] = ["--log-level", "trace,presenced=trace"];
/// What is shorter may stand anywhere.
const SHORTEST: usize = 8;
/// What only the holder of a secret has: a key, a bearer's header, refresh tokens and device codes of the sandbox.
const MARKS: [&str; 4] = ["PRIVATE KEY", "Bearer ey", "1.RSandbox", "DSandbox"];
/// Fields of forms and of JSON that hold a secret.
const FIELDS: [&str; 6] =
    ["client_secret", "client_assertion", "access_token", "refresh_token", "id_token", "device_code"];

thread_local! {
    /// Those of the test that runs on this thread.
    static SECRETS: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// This is a secret from now on, and so is each part of it that would do: the lines of a key, the claims and the
/// signature of a token.
pub fn keep(secret: &str) {
    let parts = secret.split(|c: char| c == '.' || c.is_ascii_whitespace());
    let parts = parts.filter(|part| part.len() > 40 && !part.starts_with('-'));
    SECRETS.with_borrow_mut(|secrets| {
        for part in parts.chain([secret.trim()]).filter(|part| part.len() >= SHORTEST) {
            let encoded: String = form_urlencoded::byte_serialize(part.as_bytes()).collect();
            secrets.extend([encoded, part.to_owned()]);
        }
    });
}

/// What is secret in a credential's file: the key in a PEM file, or else all of it.
pub fn secrets_of(text: &str) -> impl Iterator<Item = &str> {
    let keys = text.split("-----BEGIN ").filter(|block| block.contains("PRIVATE KEY"));
    let whole = (!text.contains("-----BEGIN ")).then_some(text);
    keys.flat_map(str::lines).filter(|line| line.len() > 20 && !line.contains('-')).chain(whole)
}

/// How many there are.
pub fn kept() -> usize {
    SECRETS.with_borrow(BTreeSet::len)
}

/// Keeps what is secret in an HTTP request or answer.
pub fn seen(message: &[u8]) {
    let text = String::from_utf8_lossy(message);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    for line in head.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if ["authorization", "x-identity-header"].contains(&&*name.to_ascii_lowercase()) {
            keep(value.split_whitespace().last().unwrap_or_default());
        }
    }
    match serde_json::from_str::<Value>(body) {
        Ok(answer) => FIELDS.iter().filter_map(|field| answer[field].as_str()).for_each(keep),
        Err(_) => form_urlencoded::parse(body.as_bytes())
            .filter(|(name, _)| FIELDS.contains(&&**name))
            .for_each(|(_, value)| keep(&value)),
    }
}

/// Fails where a text holds a secret.
///
/// # Panics
/// When it does; not while a test fails for another reason.
pub fn search(place: &str, text: &str) {
    if std::thread::panicking() {
        return;
    }
    SECRETS.with_borrow(|secrets| {
        for secret in secrets.iter().map(String::as_str).chain(MARKS) {
            if let Some(at) = text.find(secret) {
                panic!("{secret:?} is in {place}, after {:?}", before(text, at));
            }
        }
    });
    if let Some(at) = jwt(text) {
        panic!("a token is in {place}, after {:?}", before(text, at));
    }
}

/// Where a JSON web token begins: it is an object in base64url, a dot, and more of that.
fn jwt(text: &str) -> Option<usize> {
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices("eyJ").map(|(at, _)| at).find(|&at| {
        let header = text[at..].find(|c| !is_base64url(c)).unwrap_or_default();
        header > 10 && text[at + header..].starts_with(".") && text[at + header + 1..].starts_with("ey")
    })
}

fn before(text: &str, at: usize) -> String {
    let tail: Vec<char> = text[..at].chars().rev().take(200).collect();
    tail.into_iter().rev().collect()
}

/// Searches the files below a directory. The sign-ins are there to hold a refresh token, which is nowhere else.
pub fn search_files(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    // Their tokens are known before the others are searched.
    entries.sort_by_key(|path| !path.ends_with("login"));
    for path in entries {
        if path.ends_with("login") {
            for sign_in in std::fs::read_dir(path).unwrap() {
                seen(&[b"\r\n\r\n".as_slice(), &std::fs::read(sign_in.unwrap().path()).unwrap()].concat());
            }
        } else if path.is_dir() {
            search_files(&path);
        } else if path.is_file() {
            search(&path.display().to_string(), &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

/// Stops a daemon that said all that it has to say, and searches that, what it has kept, and what every command says of
/// its config and of the services, with these variables.
pub async fn ends_silent(mut daemon: Daemon, site: &Site, variables: &[(&str, String)]) {
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0), "{}", daemon.log());
    let log = daemon.log();
    assert!(log.contains("\"trace\"") && log.len() > 5_000, "there is something to look through");
    assert!(kept() > 1, "there is something to look for");
    let files = std::fs::read_dir(site.state_dir()).unwrap().count();
    assert!(files > 1, "ledger and config are kept");
    for args in
        [&["check", "--json"][..], &["check"], &["plan", "--json"], &["doctor", "--json"], &["doctor"]]
    {
        let mut command = presenced();
        command.args(args).arg("--config").arg(site.config_file());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let said = heard(command).await;
        assert!(!said.stdout.is_empty(), "{args:?}: {}", said.stderr);
    }
    drop(daemon);
    search_files(&site.state_dir());
}

#[test]
fn what_is_secret_is_found_wherever_it_stands() {
    let found = |text: &str| std::panic::catch_unwind(|| search("a test", text)).is_err();
    let token = "eyJhbGciOiJub25l.eyJhIjoxfQ.signature-of-more-than-forty-characters-abcdef";
    assert!(found(&format!("x={token}")) && found("-----BEGIN RSA PRIVATE KEY-----"));
    assert!(!found("claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\" eyJh. eyJhbGciOiJub25l"));
    for secret in ["s3cr/t~1+", "header~of~host", "b4sic-content", "opaque-token", "refresh-me"] {
        assert!(!found(secret), "{secret}");
    }
    seen(b"POST /token HTTP/1.1\r\ncontent-length: 3\r\n\r\ngrant_type=x&client_secret=s3cr%2Ft%7E1%2B");
    seen(
        b"GET / HTTP/1.1\r\nX-Identity-Header: header~of~host\r\nAuthorization: Basic b4sic-content\r\n\r\n",
    );
    seen(b"HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"opaque-token\",\"refresh_token\":\"refresh-me\"}");
    for secret in
        ["s3cr/t~1+", "s3cr%2Ft%7E1%2B", "header~of~host", "b4sic-content", "opaque-token", "refresh-me"]
    {
        assert!(found(secret), "{secret}");
    }
    keep(token);
    assert!(found("signature-of-more-than-forty-characters-abcdef"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("login")).unwrap();
    std::fs::write(dir.path().join("login/a.json"), "{\"refresh_token\":\"one-that-is-kept\"}").unwrap();
    search_files(dir.path());
    std::fs::write(dir.path().join("ledger"), "x one-that-is-kept x").unwrap();
    assert!(std::panic::catch_unwind(|| search_files(dir.path())).is_err());
}
