//! The fault classes, by name: what a broken service, proxy or network may answer, each for a minute of the service's
//! time, and nobody lapses, nobody is parked, and the service is not hammered.

use serde_json::json;

use crate::meddler::{Meddler, Mode, answer};
use crate::sandbox::Sandbox;
use crate::secrecy::{TRACE, ends_silent};
use crate::site::{Site, available};

const SPEED: [&str; 2] = ["--speed", "20"];
const USERS: u32 = 100;
/// How long a fault lasts, in seconds of the service's time: a part of what is left when a renewal is due.
const MINUTE: f64 = 60.0;
/// Planned renewals in five minutes, half as much again, and ten.
const BOUND: u64 = 2 * USERS as u64 * 3 / 2 + 10;

/// Everything is answered like this for a minute, and then as ever.
async fn survives(fault: &str, mode: Mode) {
    let sandbox = Sandbox::watched(&SPEED).await;
    let door = Meddler::before(&sandbox.url).await;
    let site = Site::at(&door.url, &sandbox.url, (0..USERS).map(available));
    let mut daemon = site.run_with(&[SPEED, TRACE].concat());
    sandbox.until_sets(USERS.into()).await;

    // The renewals are due soon: most of them meet the fault.
    let now = async || sandbox.report().await["virtual_seconds"].as_f64().unwrap();
    let started = now().await;
    let past = |at: f64| move |report: &serde_json::Value| report["virtual_seconds"].as_f64() >= Some(at);
    sandbox.until("the renewals come due", past(started + 130.0)).await;
    door.set(mode);
    sandbox.until("a minute", past(started + 130.0 + MINUTE)).await;
    door.set(Mode::Pass);
    let met = door.meddled();
    assert!((1..=BOUND).contains(&met), "{fault}: {met} requests in a minute");

    let report =
        sandbox.until("two renewals each", |r| r["sets"].as_u64() >= Some(3 * u64::from(USERS))).await;
    assert_eq!((&report["lapses"], &report["sessions"]), (&json!(0), &json!(USERS)), "{fault}: {report:#}");
    assert_eq!(daemon.events("parked").len(), 0, "{fault}: {}", daemon.log());
    assert_eq!(daemon.events("bug").len(), 0, "{fault}: {}", daemon.log());
    assert!(!daemon.has_ended(), "{fault}");
    ends_silent(daemon, &site, &[]).await;
}

macro_rules! faults {
    ($($name:ident: $mode:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            survives(stringify!($name), $mode).await;
        })*
    };
}

fn throttled(retry_after: &str) -> Mode {
    let body = r#"{"error":{"code":"TooManyRequests","message":"slow down"}}"#;
    let header =
        if retry_after.is_empty() { String::new() } else { format!("retry-after: {retry_after}\r\n") };
    Mode::Say(answer("429 Too Many Requests", &header, body))
}

const CHALLENGE: &str = "www-authenticate: Bearer realm=\"\", error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\"\r\n";
const HTML: &str = "<!DOCTYPE html><html><body><h1>503</h1>The proxy is very sorry</body></html>";

faults! {
    a_429_with_whole_seconds: throttled("7");
    a_429_with_a_fraction: throttled("2.128");
    a_429_with_a_date: throttled(&httpdate::fmt_http_date(std::time::SystemTime::now()));
    a_429_without_retry_after: throttled("");
    a_429_that_says_zero: throttled("0");
    a_429_with_a_negative_time: throttled("-5");
    a_429_with_an_enormous_time: throttled("99999999999999999999");
    a_401_with_a_claims_challenge: Mode::Say(answer("401 Unauthorized", CHALLENGE, ""));
    a_503_with_retry_after: Mode::Say(answer("503 Service Unavailable", "retry-after: 20\r\n", ""));
    a_503_of_html: Mode::Say(answer("503 Service Unavailable", "content-type: text/html\r\n", HTML));
    a_502_of_no_body: Mode::Say(answer("502 Bad Gateway", "", ""));
    a_redirect_elsewhere: Mode::Say(answer("302 Found", "location: http://127.0.0.1:9/login\r\n", ""));
    an_answer_that_is_no_http: Mode::Cut("SSH-2.0-OpenSSH_9.2\r\n".to_owned());
    an_error_cut_off_in_its_body: Mode::Cut("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 900\r\n\r\n{\"err".to_owned());
    a_head_cut_off: Mode::Cut("HTTP/1.1 200 OK\r\ncontent-le".to_owned());
    an_error_without_an_end: Mode::Flood("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 10737418240\r\n\r\n".to_owned());
    a_header_without_an_end: Mode::Flood("HTTP/1.1 200 OK\r\nx: ".to_owned());
    connections_that_are_reset: Mode::Reset;
    connections_that_fall_silent: Mode::Silence;
    answers_lost_after_they_took_effect: Mode::Lose;
}
