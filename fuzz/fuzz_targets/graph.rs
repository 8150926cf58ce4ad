//! Any answer of Graph, or of what stands in its place: the status alone decides, each way within its own statuses, and
//! what the log is told is short and holds no token.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::daemon::graph::{Fault, classify};
use presenced::keeper::{Call, Expiration, Loss, Outcome, PresenceState, Wish};
use presenced_fuzz::{Heard, SECRET, is_fit, is_short, with_secret};

const SET: Call = Call::Set(Wish { state: PresenceState::Available, expiration: Expiration::MAX });

fuzz_target!(|input: &[u8]| -> Corpus {
    let lossy = String::from_utf8_lossy(input);
    let Some(text) = with_secret(&lossy) else { return Corpus::Reject };
    // What is no UTF-8 goes in as it is, and then without the token.
    let input = if matches!(lossy, std::borrow::Cow::Owned(_)) { input } else { text.as_bytes() };
    let Some(heard) = Heard::read(input) else { return Corpus::Reject };
    let status = heard.status;
    let call = if heard.word == "clear" { Call::Clear } else { SET };
    match classify(call, status, &heard.headers, SystemTime::UNIX_EPOCH) {
        Outcome::Granted => assert!(matches!(status, 200..=299) || status == 404 && call == Call::Clear),
        // 424 is how a part of a batch may be told so.
        Outcome::Throttled { .. } => assert!(matches!(status, 424 | 429)),
        Outcome::TokenRejected => assert!(matches!(status, 401 | 403)),
        Outcome::Refused(refusal) => assert!(refusal.status() == status && matches!(status, 400..=499)),
        Outcome::Lost { loss, .. } => {
            assert_eq!(loss, Loss::Server(status));
            assert!(!matches!(status, 200..=299 | 400 | 401 | 403 | 404 | 429));
        }
    }
    let fault = Fault::read(status, &heard.headers, heard.body, SECRET);
    [&fault.code, &fault.message, &fault.request_id].into_iter().flatten().for_each(|text| is_short(text));
    fault.cause.iter().for_each(|text| is_fit(text));
    assert_eq!(fault, Fault::read(status, &heard.headers, heard.body, SECRET), "the same each time");
    Corpus::Keep
});
