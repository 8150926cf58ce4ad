//! When a lane fetches a token, and whether the one at hand is any good. The token itself is never here.

use std::time::Duration;

use super::id::{Generation, Slot};
use super::outcome::{TokenAnswer, TokenFailure};
use super::time::MonoTime;

/// The first wait after a token request that failed.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// The longest, where it may pass by itself; a server's own `Retry-After` may ask for up to five times as much.
const RETRY_LONGEST: Duration = Duration::from_secs(120);
/// The longest where someone has to mend something. Asking does not mend it, and a new credential is tried at once.
const REJECTED_LONGEST: Duration = Duration::from_secs(900);
/// A token is not used when it ends within this time: it may end on its way. Nor is it replaced sooner, however short
/// its life or early the server's wish: that would only hammer the authority.
const MARGIN: Duration = Duration::from_secs(10);
/// When to give a token request up.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// After this long without doubt in a token, doubt is dear again only slowly.
const DOUBT_FORGOTTEN: Duration = Duration::from_secs(600);
/// So many different users rejected without a grant between them: the token is no good for anyone.
const REJECTED_USERS: usize = 5;

/// What a lane knows of its tokens.
#[derive(Debug, Default)]
pub(super) struct Token {
    held: Option<Held>,
    /// Of the last fetch that was begun.
    generation: Generation,
    asked_at: Option<MonoTime>,
    /// Fetches that failed in a row with this credential.
    failures: u32,
    /// The last fetch failed, with this credential or another.
    failing: bool,
    /// No fetch before then.
    not_before: MonoTime,
    /// Doubts in a row, and the last.
    doubts: u32,
    doubted_at: MonoTime,
}

#[derive(Debug)]
struct Held {
    generation: Generation,
    asked_at: MonoTime,
    expires_at: MonoTime,
    refresh_at: MonoTime,
    /// Requests granted on it.
    grants: u32,
    /// Whom it was rejected for (401) since the last grant, up to [`REJECTED_USERS`] of them.
    rejected: Vec<Slot>,
    /// A 401 says that it may be no good: a new one is wanted.
    suspect: bool,
}

impl Token {
    /// The generation to send with; `None`: there is no token that is any good.
    pub(super) fn usable(&self, now: MonoTime) -> Option<Generation> {
        self.held
            .as_ref()
            .filter(|held| now + MARGIN < held.expires_at && held.rejected.len() < REJECTED_USERS)
            .map(|held| held.generation)
    }

    /// How long the token at hand is good.
    pub(super) fn good_for(&self, now: MonoTime) -> Option<Duration> {
        self.held.as_ref().map(|held| held.expires_at.since(now)).filter(|left| !left.is_zero())
    }

    /// Whether this is the token at hand, and somebody was granted with it.
    pub(super) fn has_grants(&self, generation: Generation) -> bool {
        self.held.as_ref().is_some_and(|held| held.generation == generation && held.grants > 0)
    }

    /// Whether this is the token at hand, and nobody was granted with it yet.
    pub(super) fn is_unproven(&self, generation: Generation) -> bool {
        self.held.as_ref().is_some_and(|held| held.generation == generation && held.grants == 0)
    }

    /// When the next fetch is due: [`MonoTime::FAR`] while one is under way.
    pub(super) fn fetch_at(&self) -> MonoTime {
        if self.asked_at.is_some() {
            return MonoTime::FAR;
        }
        let wanted = match &self.held {
            Some(held) if !held.suspect => held.refresh_at,
            _ => MonoTime::ZERO,
        };
        wanted.max(self.not_before)
    }

    /// Whether a fetch is under way.
    pub(super) fn asked(&self) -> bool {
        self.asked_at.is_some()
    }

    /// Begins a fetch; returns its generation and deadline.
    pub(super) fn fetch(&mut self, now: MonoTime) -> (Generation, MonoTime) {
        self.asked_at = Some(now);
        self.generation = Generation(self.generation.0 + 1);
        (self.generation, now + REQUEST_TIME)
    }

    /// A fetch was answered. After a failure: the attempt's number and the wait until the next.
    pub(super) fn answered(&mut self, answer: TokenAnswer, now: MonoTime) -> Fetched {
        let asked_at = self.asked_at.take().unwrap_or(now);
        match answer {
            TokenAnswer::Granted { lifetime, refresh_in } => {
                let news = self.failing || self.held.is_none();
                self.failures = 0;
                self.failing = false;
                self.not_before = now;
                self.held = Some(Held {
                    generation: self.generation,
                    asked_at,
                    expires_at: asked_at + lifetime,
                    refresh_at: asked_at + refresh_in.unwrap_or(lifetime / 2).min(lifetime / 2).max(MARGIN),
                    grants: 0,
                    rejected: Vec::new(),
                    suspect: false,
                });
                Fetched::Token { lifetime, news }
            }
            TokenAnswer::Failed { failure, retry_after } => {
                let longest = match failure {
                    TokenFailure::Unreachable => RETRY_LONGEST,
                    TokenFailure::Rejected => REJECTED_LONGEST,
                };
                let wait = doubling(self.failures, longest)
                    .max(retry_after.unwrap_or_default().min(RETRY_LONGEST * 5));
                self.failures += 1;
                self.failing = true;
                self.not_before = now + wait;
                Fetched::Nothing { attempt: self.failures, next_try: wait }
            }
        }
    }

    /// A request was granted with this generation.
    pub(super) fn granted(&mut self, generation: Generation) {
        if let Some(held) = self.held.as_mut().filter(|held| held.generation == generation) {
            held.grants = held.grants.saturating_add(1);
            held.rejected.clear();
        }
    }

    /// A request was rejected (401) with this generation, for a user whose first it is. Returns whether the token at
    /// hand has become suspect by it, which leads to one fetch.
    pub(super) fn rejected(&mut self, generation: Generation, slot: Slot, now: MonoTime) -> bool {
        self.count_rejected(generation, slot).is_some() && self.doubt(now)
    }

    /// Another 401 in a row for the same user, on this generation: it may be the user. Doubts the token only once
    /// nobody else is granted with it either; returns whether it has.
    pub(super) fn rejected_again(&mut self, generation: Generation, slot: Slot, now: MonoTime) -> bool {
        self.count_rejected(generation, slot).is_some_and(|users| users >= REJECTED_USERS) && self.doubt(now)
    }

    /// Returns how many users the token at hand was rejected for, if it is this one.
    fn count_rejected(&mut self, generation: Generation, slot: Slot) -> Option<usize> {
        let held = self.held.as_mut().filter(|held| held.generation == generation)?;
        if held.rejected.len() < REJECTED_USERS && !held.rejected.contains(&slot) {
            held.rejected.push(slot);
        }
        Some(held.rejected.len())
    }

    fn doubt(&mut self, now: MonoTime) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| !held.suspect) else { return false };
        held.suspect = true;
        if now.since(self.doubted_at) > DOUBT_FORGOTTEN {
            self.doubts = 0;
        }
        // The first doubt is followed at once; one that comes soon again waits, longer each time.
        if self.doubts > 0 {
            self.not_before = self.not_before.max(held.asked_at + doubling(self.doubts - 1, RETRY_LONGEST));
        }
        self.doubts += 1;
        self.doubted_at = now;
        true
    }

    /// A new one is wanted before anything else is sent: what changed at the authority shows in new tokens only.
    pub(super) fn renew(&mut self) {
        if let Some(held) = &mut self.held {
            held.suspect = true;
        }
    }

    /// The credential is another: what failed before says nothing any more, and whether it is any good shows at once,
    /// while the token at hand still serves.
    pub(super) fn credential_changed(&mut self, now: MonoTime) {
        self.failures = 0;
        self.doubts = 0;
        self.not_before = now;
        self.renew();
    }
}

/// What a token request came to.
pub(super) enum Fetched {
    /// A token; `news`: the lane had none, or the last request had failed.
    Token {
        lifetime: Duration,
        news: bool,
    },
    Nothing {
        attempt: u32,
        next_try: Duration,
    },
}

/// 2 s, doubling to the longest.
fn doubling(before: u32, longest: Duration) -> Duration {
    RETRY_FIRST.saturating_mul(1 << before.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::outcome::TokenFailure;

    const HOUR: Duration = Duration::from_secs(3_600);
    const GRANTED: TokenAnswer = TokenAnswer::Granted { lifetime: HOUR, refresh_in: None };
    const FAILED: TokenAnswer = TokenAnswer::Failed { failure: TokenFailure::Unreachable, retry_after: None };

    const REJECTED: TokenAnswer = TokenAnswer::Failed { failure: TokenFailure::Rejected, retry_after: None };

    const SLOT: Slot = Slot(0);

    fn at(secs: u64) -> MonoTime {
        MonoTime::from_secs(secs)
    }

    fn with_token(now: MonoTime) -> Token {
        let mut token = Token::default();
        token.fetch(now);
        token.answered(GRANTED, now);
        token
    }

    #[test]
    fn a_token_is_replaced_at_half_its_life_and_used_to_its_end() {
        let mut token = with_token(at(0));
        assert_eq!(token.fetch_at(), at(1_800));
        token.fetch(at(1_800));
        token.answered(FAILED, at(1_801));
        assert_eq!(token.fetch_at(), at(1_803), "two seconds after the first failure");
        assert_eq!(token.usable(at(3_500)), Some(Generation(1)), "the old one serves meanwhile");
        assert_eq!(token.usable(at(3_595)), None);
    }

    /// The waits after so many failures of a kind, and when they are over.
    fn waits(token: &mut Token, answer: TokenAnswer, times: usize) -> (Vec<u64>, MonoTime) {
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..times {
            token.fetch(now);
            token.answered(answer, now);
            waits.push(token.fetch_at().since(now).as_secs());
            now = token.fetch_at();
        }
        (waits, now)
    }

    #[test]
    fn what_may_pass_is_tried_every_two_minutes_and_what_someone_has_to_mend_every_fifteen() {
        for (answer, expected) in [
            (FAILED, [2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120]),
            (REJECTED, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]),
        ] {
            let mut token = Token::default();
            let (waits, now) = waits(&mut token, answer, expected.len());
            assert_eq!(waits, expected);
            token.credential_changed(now);
            assert_eq!(token.fetch_at(), now, "a new credential is worth a try at once");
        }
        let mut token = Token::default();
        let (_, now) = waits(&mut token, REJECTED, 11);
        token.fetch(now);
        token.answered(FAILED, now);
        assert_eq!(token.fetch_at().since(now).as_secs(), 120, "nobody says no any more");
    }

    #[test]
    fn a_token_after_a_failure_is_news_also_by_another_credential() {
        let mut token = with_token(at(0));
        let is_news = |token: &mut Token, answer| {
            token.fetch(at(1_800));
            matches!(token.answered(answer, at(1_800)), Fetched::Token { news: true, .. })
        };
        assert!(!is_news(&mut token, GRANTED), "the token before was good");
        assert!(!is_news(&mut token, REJECTED));
        token.credential_changed(at(1_800));
        assert!(is_news(&mut token, GRANTED));
        assert!(!is_news(&mut token, GRANTED), "told once");
    }

    #[test]
    fn doubt_leads_to_one_fetch_and_repeated_doubt_to_fewer() {
        let mut token = with_token(at(0));
        assert!(token.rejected(Generation(1), SLOT, at(100)));
        assert!(!token.rejected(Generation(1), SLOT, at(100)), "it is suspect already");
        assert_eq!(token.fetch_at(), at(0), "at once");
        let mut now = at(100);
        let mut fetches = 0;
        while now < at(700) {
            let generation = token.fetch(now).0;
            token.answered(GRANTED, now);
            fetches += 1;
            assert!(token.rejected(generation, SLOT, now));
            now = now.max(token.fetch_at());
        }
        assert!(fetches <= 11, "{fetches} fetches in ten minutes");
    }

    #[test]
    fn five_users_rejected_without_a_grant_stop_a_token() {
        let mut token = with_token(at(0));
        let reject = |token: &mut Token, slots: std::ops::Range<u32>| {
            for slot in slots {
                token.rejected(Generation(1), Slot(slot), at(1));
                token.rejected_again(Generation(1), Slot(slot), at(1));
            }
        };
        reject(&mut token, 0..4);
        assert!(token.usable(at(1)).is_some(), "eight rejections, four users");
        token.granted(Generation(1));
        reject(&mut token, 4..5);
        assert!(token.usable(at(1)).is_some(), "a grant in between clears the count");
        reject(&mut token, 0..4);
        assert_eq!(token.usable(at(1)), None);
    }
}
