//! `[control]` and `[http]`: what takes more than one key to see.

use std::collections::HashMap;
use std::sync::Arc;

use super::apps::Apps;
use super::relative;
use crate::config::doors::{SOCKET_BYTES_MAX, TokenEntry};
use crate::config::file::Contents;
use crate::config::problem::{Code, Problem, shown};
use crate::config::read::did_you_mean;
use crate::config::settings::{Bearer, CertificateFiles, ControlSettings, HttpSettings};
use crate::config::source::{Place, Sources};

/// Where the control socket is when nothing says otherwise.
pub(in crate::config) const SOCKET: &str = "/run/presenced/control.sock";

/// What `[control]` means.
pub(super) fn control(
    main: &Contents,
    sources: &Sources,
    apps: &Apps,
    problems: &mut Vec<Problem>,
) -> ControlSettings {
    let written = &main.control;
    let socket = relative(&written.socket, sources).unwrap_or_else(|| SOCKET.into());
    if let Some(at) = written.socket.given()
        && socket.as_os_str().len() > SOCKET_BYTES_MAX
    {
        let message = format!("the path of a socket has at most {SOCKET_BYTES_MAX} bytes");
        problems.push(
            Problem::new(Code::OutOfRange, at.at, message)
                .label(format!("{} bytes in all", socket.as_os_str().len())),
        );
    }
    let listen = written.listen.value().copied();
    let tls = relative(&written.certificate_file, sources)
        .map(|certificate| CertificateFiles { certificate, key: relative(&written.key_file, sources) });
    if let Some(at) = written.listen.given() {
        if !at.value.ip().is_loopback() && written.certificate_file.is_absent() {
            problems.push(
                Problem::new(
                    Code::MissingKey,
                    at.at,
                    "beyond this machine the control API is served over TLS only",
                )
                .label("reached from elsewhere")
                .help("give certificate_file (and key_file), or listen on loopback"),
            );
        }
        if written.tokens.is_absent() || written.tokens.value().is_some_and(Vec::is_empty) {
            problems.push(
                Problem::new(Code::MissingKey, at.at, "nobody could come in here without a token")
                    .help("tokens = [{ name = \"pbx\", file = \"pbx.token\", may = [\"override\"] }]"),
            );
        }
    }
    no_effect(main, problems);
    let tokens = written.tokens.value().map(|tokens| bearers(tokens, sources, apps, problems));
    ControlSettings {
        socket,
        group: written.group.value().cloned(),
        listen,
        tls,
        tokens: tokens.unwrap_or_default(),
    }
}

/// What counts only where `listen` is given.
fn no_effect(main: &Contents, problems: &mut Vec<Problem>) {
    let control = &main.control;
    let mut idle = |at: Option<Place>, name: &str, without: &str| {
        if let Some(at) = at {
            let message = format!("`{name}` has no effect without `{without}`");
            problems.push(Problem::new(Code::NoEffect, at, message));
        }
    };
    if control.listen.is_absent() {
        idle(control.tokens.given().map(|given| given.at), "tokens", "listen");
        idle(control.certificate_file.given().map(|given| given.at), "certificate_file", "listen");
    }
    if control.certificate_file.is_absent() {
        idle(control.key_file.given().map(|given| given.at), "key_file", "certificate_file");
    }
}

fn bearers(
    entries: &[TokenEntry],
    sources: &Sources,
    apps: &Apps,
    problems: &mut Vec<Problem>,
) -> Vec<Bearer> {
    let mut named: HashMap<&str, Place> = HashMap::new();
    let mut bearers = Vec::with_capacity(entries.len());
    for entry in entries {
        for (key, absent) in [
            ("name", entry.name.is_absent()),
            ("file", entry.file.is_absent()),
            ("may", entry.may.is_absent()),
        ] {
            if absent {
                problems.push(Problem::new(Code::MissingKey, entry.at, format!("a token needs `{key}`")));
            }
        }
        if let Some(name) = entry.name.given()
            && let Some(first) = named.insert(&name.value, name.at)
        {
            let message = format!("two tokens are called {}", shown(&name.value));
            problems.push(Problem::new(Code::AppNameTwice, name.at, message).also(first, "the first one"));
        }
        let names = entry.apps.value().map(|names| {
            let known = |name: &crate::config::source::Placed<Box<str>>| -> Arc<str> {
                if apps.by_name(&name.value).is_none() && !apps.nameless() {
                    let message = format!("there is no app {}", shown(&name.value));
                    let problem = Problem::new(Code::UnknownApp, name.at, message);
                    problems.push(match did_you_mean(&name.value, &apps.names()) {
                        Some(near) => problem.label(format!("did you mean `{near}`?")),
                        None => problem,
                    });
                }
                Arc::from(&*name.value)
            };
            names.iter().map(known).collect()
        });
        if let (Some(name), Some(file), Some(may)) =
            (entry.name.value(), relative(&entry.file, sources), entry.may.value())
        {
            bearers.push(Bearer { name: name.clone(), file, may: *may, apps: names });
        }
    }
    bearers
}

/// What `[http]` means.
pub(super) fn http(main: &Contents, problems: &mut Vec<Problem>) -> Option<HttpSettings> {
    let written = &main.http;
    let at = written.at?;
    if written.listen.is_absent() {
        problems.push(
            Problem::new(Code::MissingKey, at, "[http] needs `listen`").help("listen = \"127.0.0.1:9464\""),
        );
    }
    Some(HttpSettings {
        listen: *written.listen.value()?,
        tolerate: written.tolerate.value().copied().unwrap_or(HttpSettings::TOLERATE),
    })
}
