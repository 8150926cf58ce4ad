//! Any answer to a batch of calls: one answer for each call, granted only where the batch says so, and what the log is
//! told is short and holds no token. The word on the first line says how many calls there were.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::daemon::graph::{Answer, Ask, Detail, Together, read_batch};
use presenced::daemon::token::AccessToken;
use presenced::keeper::id::Guid;
use presenced::keeper::{Call, Expiration, Loss, Outcome, PresenceState, Wish};
use presenced_fuzz::{Heard, SECRET, is_fit, is_short, with_secret};

const SET: Call = Call::Set(Wish { state: PresenceState::Available, expiration: Expiration::MAX });
/// The most calls in a batch.
const MOST: usize = 20;
const LOST: Outcome = Outcome::Lost { loss: Loss::Transport, retry_after: None };

fuzz_target!(|input: &[u8]| -> Corpus {
    let lossy = String::from_utf8_lossy(input);
    let Some(text) = with_secret(&lossy) else { return Corpus::Reject };
    // What is no UTF-8 goes in as it is, and then without the token.
    let input = if matches!(lossy, std::borrow::Cow::Owned(_)) { input } else { text.as_bytes() };
    let Some(heard) = Heard::read(input) else { return Corpus::Reject };
    let Ok(count) = heard.word.parse::<usize>() else { return Corpus::Reject };
    if count > MOST {
        return Corpus::Reject;
    }
    // Every third is cleared.
    let ask =
        |n: usize| Ask { user: Guid::from_u128(n as u128), call: if n % 3 == 2 { Call::Clear } else { SET } };
    let asks: Vec<Ask> = (0..count).map(ask).collect();
    let token = AccessToken::bearer(SECRET).expect("a word");
    let read = || {
        let answer = (heard.status, heard.headers.clone(), heard.body);
        read_batch(&asks, answer, &token, SystemTime::UNIX_EPOCH)
    };
    let together = read();
    match &together {
        Together::Answered(answers) => {
            assert_eq!(answers.len(), count);
            answers.iter().for_each(|answer| is_sound(answer, heard.status));
            // Other than that it answers the whole, it says something of a call.
            let all_lost = answers.iter().all(|answer| answer.outcome == LOST);
            assert!(count == 0 || !all_lost, "{answers:?}");
        }
        Together::Unread(answers) => {
            assert!((200..=299).contains(&heard.status));
            assert!(answers.len() == count && answers.iter().all(|answer| answer.outcome == LOST));
            answers.iter().for_each(|answer| is_sound(answer, heard.status));
        }
        Together::NotTaken(detail) => {
            assert!(matches!(heard.status, 400..=499 | 501));
            is_told(detail);
        }
    }
    assert_eq!(together, read(), "the same each time");
    Corpus::Keep
});

fn is_sound(answer: &Answer, whole: u16) {
    assert_eq!(answer.detail.is_none(), answer.outcome == Outcome::Granted, "{answer:?}");
    assert!(answer.outcome != Outcome::Granted || (200..=299).contains(&whole), "granted by a {whole}");
    answer.detail.iter().for_each(|detail| is_told(detail));
}

fn is_told(detail: &Detail) {
    let Detail { code, message, request_id, cause, .. } = detail;
    [code, message, request_id].into_iter().flatten().for_each(|text| is_short(text));
    cause.iter().for_each(|text| is_fit(text));
}
