//! Refresh tokens: each use gives another one, and what becomes of those that were used.
//!
//! Source: Microsoft's page "Refresh tokens in the Microsoft identity platform".

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::ask::Scope;
use super::problem::TokenProblem;
use super::registration::App;
use crate::keeper::time::MonoTime;
use crate::sandbox::seal;

/// After how long without use a refresh token is over. The page says 90 days, and that it cannot be set.
pub const IDLE_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How many refresh tokens are remembered; the oldest are forgotten, and are then none.
const MOST_TOKENS: usize = 100_000;
const PREFIX: &str = "1.RSandbox";

/// What one person agreed to when signing in; its refresh tokens come one from another.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    pub tenant: Uuid,
    pub client: Uuid,
    pub user: Uuid,
    pub scope: Scope,
}

#[derive(Debug)]
struct Family {
    consent: Consent,
    since: MonoTime,
    used_at: MonoTime,
    revoked: bool,
    /// The youngest generation that was used, and that was given out.
    used: u32,
    given: u32,
}

/// All refresh tokens that were given out.
#[derive(Debug, Default)]
pub(super) struct Refreshes {
    families: Vec<Family>,
    /// By number: the family and the generation.
    tokens: BTreeMap<u64, (usize, u32)>,
    number: u64,
}

impl Refreshes {
    /// The first refresh token of a sign-in.
    pub(super) fn begin(&mut self, seed: u64, now: MonoTime, consent: Consent) -> String {
        self.families.push(Family { consent, since: now, used_at: now, revoked: false, used: 0, given: 0 });
        self.give(seed, self.families.len() - 1, 0)
    }

    /// Uses one. Returns what its person agreed to, and the next one.
    ///
    /// # Errors
    /// `invalid_grant`: AADSTS70000 for what is none of this app, 50173 for a revoked one, 700082 after 90 days without
    /// use, 70008 for one that is too old or was replaced.
    pub(super) fn renew(
        &mut self,
        seed: u64,
        now: MonoTime,
        (tenant, client, app): (Uuid, Uuid, &App),
        token: &str,
    ) -> Result<(Consent, String), TokenProblem> {
        let number = seal::opaque_number(seed, PREFIX, token).ok_or_else(TokenProblem::bad_refresh)?;
        let (at, generation) = *self.tokens.get(&number).ok_or_else(TokenProblem::bad_refresh)?;
        let family = &mut self.families[at];
        if (family.consent.tenant, family.consent.client) != (tenant, client) {
            return Err(TokenProblem::bad_refresh());
        }
        if family.revoked {
            return Err(TokenProblem::revoked_refresh());
        }
        if now.since(family.used_at) >= IDLE_LIFE {
            return Err(TokenProblem::idle_refresh());
        }
        let too_old = app.refresh_life_s.is_some_and(|life| now.since(family.since).as_secs() >= life);
        let oldest_good = if app.single_use_refresh { family.given } else { family.used };
        if too_old || generation < oldest_good {
            return Err(TokenProblem::old_refresh());
        }
        family.used = generation;
        family.used_at = now;
        let consent = family.consent.clone();
        Ok((consent, self.give(seed, at, generation + 1)))
    }

    /// Makes all that are out worth nothing: their people must sign in again.
    pub(super) fn revoke_all(&mut self) {
        self.families.iter_mut().for_each(|family| family.revoked = true);
    }

    fn give(&mut self, seed: u64, at: usize, generation: u32) -> String {
        self.number += 1;
        let family = &mut self.families[at];
        family.given = family.given.max(generation);
        self.tokens.insert(self.number, (at, generation));
        if self.tokens.len() > MOST_TOKENS {
            self.tokens.pop_first();
        }
        seal::opaque(seed, PREFIX, self.number)
    }
}
