//! Signing in by device code: a code for the client, one for the person, and what becomes of them.
//!
//! Sources: RFC 8628; Microsoft's page "Microsoft identity platform and the OAuth 2.0 device authorization grant flow".

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::ask::{DeviceAsk, Scope};
use super::problem::TokenProblem;
use crate::keeper::time::MonoTime;
use crate::sandbox::chance::{self, Purpose};
use crate::sandbox::seal;

/// How long the codes are good.
pub const CODE_LIFE: Duration = Duration::from_secs(900);
/// How often a client may ask, at first.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// How much less often after each time that it asked too soon. Source: RFC 8628, section 3.5.
const SLOWER: Duration = Duration::from_secs(5);
/// How many sign-ins are remembered; the oldest are forgotten.
const MOST_SIGN_INS: usize = 1_000;
const PREFIX: &str = "DSandbox";
/// No vowels, so that no words come out, and nothing that looks like something else.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// The codes of one sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// What the client keeps.
    pub device_code: String,
    /// What the person types.
    pub user_code: String,
}

/// What a person does at the page where the code is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Signs in.
    SignsIn(Uuid),
    /// Declines.
    Declines,
}

/// Someone who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedIn {
    pub user: Uuid,
    pub scope: Scope,
}

#[derive(Debug)]
struct SignIn {
    ask: DeviceAsk,
    user_code: String,
    expires_at: MonoTime,
    interval: Duration,
    asked_at: Option<MonoTime>,
    decision: Option<Decision>,
    redeemed: bool,
}

/// All sign-ins that were begun.
#[derive(Debug, Default)]
pub(super) struct SignIns {
    begun: BTreeMap<u64, SignIn>,
    number: u64,
}

impl SignIns {
    pub(super) fn begin(&mut self, seed: u64, now: MonoTime, ask: DeviceAsk) -> Codes {
        self.number += 1;
        let codes = Codes {
            device_code: seal::opaque(seed, PREFIX, self.number),
            user_code: user_code(seed, self.number),
        };
        let sign_in = SignIn {
            ask,
            user_code: codes.user_code.clone(),
            expires_at: now + CODE_LIFE,
            interval: INTERVAL,
            asked_at: None,
            decision: None,
            redeemed: false,
        };
        self.begun.insert(self.number, sign_in);
        if self.begun.len() > MOST_SIGN_INS {
            self.begun.pop_first();
        }
        codes
    }

    /// The tenant in which a code is waiting for its person.
    pub(super) fn waiting(&self, now: MonoTime, user_code: &str) -> Option<Uuid> {
        let mut waiting = self.begun.values();
        waiting.find(|sign_in| sign_in.waits(now, user_code)).map(|sign_in| sign_in.ask.tenant)
    }

    /// The person decides. Returns false where no code of this text waits for anyone.
    pub(super) fn decide(&mut self, now: MonoTime, user_code: &str, decision: Decision) -> bool {
        let found = self.begun.values_mut().find(|sign_in| sign_in.waits(now, user_code));
        found.map(|sign_in| sign_in.decision = Some(decision)).is_some()
    }

    /// The client asks whether the person has decided.
    pub(super) fn poll(
        &mut self,
        seed: u64,
        now: MonoTime,
        (tenant, client): (Uuid, Uuid),
        device_code: &str,
    ) -> Result<SignedIn, TokenProblem> {
        let number = seal::opaque_number(seed, PREFIX, device_code).ok_or_else(TokenProblem::bad_code)?;
        let sign_in = self.begun.get_mut(&number).ok_or_else(TokenProblem::code_expired)?;
        if (sign_in.ask.tenant, sign_in.ask.client) != (tenant, client) || sign_in.redeemed {
            return Err(TokenProblem::bad_code());
        }
        if now >= sign_in.expires_at {
            return Err(TokenProblem::code_expired());
        }
        let asked_at = sign_in.asked_at.replace(now);
        if asked_at.is_some_and(|last| now.since(last) < sign_in.interval) {
            sign_in.interval += SLOWER;
            return Err(TokenProblem::slow_down());
        }
        match sign_in.decision {
            None => Err(TokenProblem::pending()),
            Some(Decision::Declines) => Err(TokenProblem::declined()),
            Some(Decision::SignsIn(user)) => {
                sign_in.redeemed = true;
                Ok(SignedIn { user, scope: sign_in.ask.scope.clone() })
            }
        }
    }
}

impl SignIn {
    fn waits(&self, now: MonoTime, user_code: &str) -> bool {
        self.user_code.eq_ignore_ascii_case(user_code.trim())
            && now < self.expires_at
            && self.decision.is_none()
    }
}

/// Nine letters, as Entra ID has.
fn user_code(seed: u64, number: u64) -> String {
    let mut bits = chance::bits(seed, Purpose::UserCode, number);
    let letter = |_| {
        let letter = LETTERS[usize::try_from(bits % 20).expect("a number below 20 is an index")];
        bits /= 20;
        char::from(letter)
    };
    (0..9).map(letter).collect()
}
