//! Any answer of the login authority, or of what stands in its place: a token that can be sent and a lifetime within its
//! bounds, or a failure and what to do about it; and the client secret is in none of the texts, the token never printed.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::config::settings::Credential;
use presenced::daemon::token::{Asked, TokenReply, read};
use presenced::keeper::TokenAnswer;
use presenced_fuzz::{Heard, SECRET, is_fit, is_short, with_secret};

/// The lifetimes that are believed.
const LIFETIMES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(48 * 3600);

fuzz_target!(|input: &[u8]| -> Corpus {
    let lossy = String::from_utf8_lossy(input);
    let Some(text) = with_secret(&lossy) else { return Corpus::Reject };
    // What is no UTF-8 goes in as it is, and then without the secret.
    let input = if matches!(lossy, std::borrow::Cow::Owned(_)) { input } else { text.as_bytes() };
    let Some(heard) = Heard::read(input) else { return Corpus::Reject };
    let credential = Credential::SecretFile("contoso.secret".into());
    let asked = Asked {
        credential: &credential,
        app: "contoso",
        id: "id".to_owned(),
        secret: SECRET,
        wall: SystemTime::UNIX_EPOCH,
    };
    let reply = read(heard.status, &heard.headers, heard.body, &asked);
    match reply.answer {
        TokenAnswer::Granted { lifetime, refresh_in } => {
            assert!((200..300).contains(&heard.status) && reply.detail.is_none());
            assert!(LIFETIMES.contains(&lifetime), "{lifetime:?}");
            assert!(refresh_in.is_none_or(|time| time <= lifetime), "{refresh_in:?} of {lifetime:?}");
            is_unprinted(&reply);
        }
        TokenAnswer::Failed { .. } => {
            assert!(reply.token.is_none());
            let detail = reply.detail.expect("what failed is told");
            is_short(&detail.error);
            is_fit(&detail.meaning);
            detail.said.as_deref().inspect(|said| is_fit(said));
            is_fit(&detail.advice);
            is_short(detail.correlation_id.as_deref().expect("there is an id to go by"));
            assert!(!detail.meaning.is_empty() && !detail.advice.contains("{credential}"), "{detail:?}");
        }
    }
    Corpus::Keep
});

fn is_unprinted(reply: &TokenReply) {
    let header = reply.token.as_ref().expect("a token that is granted is there").authorization();
    let text = header.to_str().expect("as a header has it");
    assert!(text.starts_with("Bearer ") && text.len() > 7);
    assert_eq!(format!("{header:?} {:?}", reply.token), "Sensitive Some(AccessToken(..))");
}
