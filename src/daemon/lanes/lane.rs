//! One open lane: the token at hand, and what is remembered from one fetch to the next.

use std::sync::Arc;

use jiff::civil::Date;

use super::Way;
use crate::daemon::token::{AccessToken, Claims, Fingerprint, TokenSource, Unwritten};
use crate::keeper::id::{Generation, LaneKey};
use crate::keeper::{TokenAnswer, TokenFailure};

/// An open lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    pub(super) name: Arc<str>,
    /// `None`: no config names this app any more.
    pub(super) way: Option<Way>,
    pub(super) token: Option<(Generation, AccessToken)>,
    /// The credential as it was at the last fetch; `None` before the first one.
    pub(super) credential: Option<Option<Fingerprint>>,
    /// What Graph wants the next token to have.
    pub(super) claims: Option<Claims>,
    /// The next refresh token, where it is not on disk.
    pub(super) unwritten: Option<Unwritten>,
    /// Whether the last fetch was refused, or the credential could not be used.
    rejected: bool,
    /// The credential that the last token came by, and how many have come by it in a row, two at most.
    proven: Option<(Fingerprint, u8)>,
    /// The secret that the config told the end of, and that end.
    dated: Option<Dated>,
}

/// The end of a secret, as the config tells it.
#[derive(Debug)]
struct Dated {
    /// The secret that it was written for, as far as that can be seen.
    secret: Fingerprint,
    end: Date,
    /// It was written while the secret before it was there still: the next secret is the one that is meant.
    ahead: bool,
    /// The secret that it was told of to be outdated.
    told: Option<Fingerprint>,
}

impl Lane {
    /// One that has fetched nothing yet.
    pub(super) fn new(key: LaneKey, name: Arc<str>, way: Option<Way>) -> Self {
        Self {
            key,
            name,
            way,
            token: None,
            credential: None,
            claims: None,
            unwritten: None,
            rejected: false,
            proven: None,
            dated: None,
        }
    }

    /// Whether this is where its tokens come from.
    pub(super) fn fetches_from(&self, source: &Arc<TokenSource>) -> bool {
        self.way.as_ref().is_some_and(|way| Arc::ptr_eq(&way.tokens, source))
    }

    /// Graph wants a token with these claims in place of the one of this generation. A token that is not at hand any more
    /// asks for nothing.
    pub(super) fn challenged(&mut self, generation: Generation, claims: Claims) {
        if self.token.as_ref().is_some_and(|(at_hand, _)| *at_hand == generation) {
            self.claims = Some(claims);
        }
    }

    /// A fetch was answered. Claims are asked for once; where nobody has answered, the next fetch asks for them still.
    pub(super) fn fetched(
        &mut self,
        credential: Option<Fingerprint>,
        answer: TokenAnswer,
        token: Option<(Generation, AccessToken)>,
    ) {
        self.credential = Some(credential);
        self.rejected = matches!(answer, TokenAnswer::Failed { failure: TokenFailure::Rejected, .. });
        if token.is_some() || self.rejected {
            self.claims = None;
        }
        if token.is_some() {
            self.token = token;
            self.proven = credential.map(|credential| match self.proven {
                Some((before, _)) if before == credential => (credential, 2),
                _ => (credential, 1),
            });
        }
    }

    /// Takes a look at the credential. Whether it is another and worth a try: one that is renewed by itself is so only if
    /// the last one was refused.
    pub(super) fn looked_at(&mut self, now: Option<Fingerprint>) -> bool {
        // What is asked with is in memory, and need not be seen.
        if now.is_none() && self.unwritten.is_some() {
            return false;
        }
        let renews_itself = self.way.as_ref().is_some_and(|way| way.tokens.renews_itself());
        let changed = self.credential.is_some_and(|then| then != now);
        self.credential = Some(now);
        changed && (self.rejected || !renews_itself)
    }

    /// Takes what is not on disk after a fetch. Whether there was anything of the kind before.
    pub(super) fn remember(&mut self, unwritten: Option<Unwritten>) -> bool {
        let before = std::mem::replace(&mut self.unwritten, unwritten);
        // One that has another way in by now has nothing to write any more.
        before.is_some() && self.way.as_ref().is_some_and(|way| way.tokens.redeems())
    }

    /// The end that the config tells of the secret, if the secret is another by now and the end is not. Told once, and not
    /// before a second token has come by the new secret: until then someone may be about to write the new end and reload.
    pub(super) fn outdated(&mut self) -> Option<Date> {
        let way = self.way.as_ref().filter(|way| way.tokens.has_secret())?;
        let (secret, end) = (self.credential.flatten()?, way.app.secret_expires?);
        let settled = self.proven == Some((secret, 2));
        let Some(dated) = self.dated.as_mut().filter(|dated| dated.end == end) else {
            // Where the secret is as before, the new end is that of the next.
            let ahead = self.dated.as_ref().is_some_and(|before| before.secret == secret);
            self.dated = Some(Dated { secret, end, ahead, told: None });
            return None;
        };
        if dated.secret != secret && dated.ahead {
            (dated.secret, dated.ahead) = (secret, false);
        }
        if dated.secret == secret || dated.told == Some(secret) || !settled {
            return None;
        }
        dated.told = Some(secret);
        Some(end)
    }
}
