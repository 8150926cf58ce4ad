//! The login authority as a pure machine: who gets a token, for what and in whose name.
//!
//! Unless something is registered every tenant, app and secret is taken, and assertions are held to their form, their
//! claims and the time, but not to a key. What is registered it is as strict about as Entra ID is documented to be.
//! It gives no tokens itself: the service does, once this has said for what.

use std::collections::BTreeMap;

use uuid::Uuid;

use self::ask::{DeviceAsk, GrantAsk, KNOWN_PERMISSIONS, Proof, Scope, TokenAsk};
use self::assertion::{Claimed, Used};
use self::identity::{Identity, IdentityAsk, IdentityProblem};
use self::problem::TokenProblem;
use self::refresh::{Consent, Refreshes};
use self::registration::{App, Registration};
use self::sign_in::{Codes, Decision, SignIns};
use super::token::Subject;
use crate::keeper::time::MonoTime;

pub mod ask;
mod assertion;
pub mod certificate;
pub mod identity;
pub mod problem;
pub mod refresh;
pub mod registration;
pub mod sign_in;
pub mod trouble;

/// How many used assertions are remembered before those that are over are forgotten.
const MANY_USED: usize = 10_000;

/// The authority. Time never goes back from call to call.
#[derive(Debug)]
pub struct Authority {
    registration: Option<Registration>,
    /// What is known of any app while nothing is registered.
    anyone: App,
    sign_ins: SignIns,
    refreshes: Refreshes,
    /// App and `jti` of assertions that were good once, with the second since 1970 in which they are over.
    used: BTreeMap<(Uuid, String), u64>,
}

/// The two clocks at the moment of a request.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The one that goes on evenly.
    pub now: MonoTime,
    /// Seconds since 1970, by the authority's wall clock.
    pub unix: u64,
}

/// What a token is to be given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub subject: Subject,
    pub audience: String,
    pub token_life_s: Option<u64>,
    pub refresh_in_s: Option<u64>,
    pub refresh_token: Option<String>,
    /// Whether an id token was asked for.
    pub open_id: bool,
}

impl Default for Authority {
    fn default() -> Self {
        let scopes = KNOWN_PERMISSIONS.map(str::to_owned).into();
        let anyone = App { public_client: true, scopes, ..App::default() };
        Self {
            registration: None,
            anyone,
            sign_ins: SignIns::default(),
            refreshes: Refreshes::default(),
            used: BTreeMap::new(),
        }
    }
}

impl Authority {
    /// What is registered, if anything is.
    #[must_use]
    pub const fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    /// From now on this is registered, and nothing else. Absent: everything is taken again.
    pub fn register(&mut self, registration: Option<Registration>) {
        self.registration = registration;
    }

    /// Makes every refresh token that is out worth nothing.
    pub fn revoke_refresh_tokens(&mut self) {
        self.refreshes.revoke_all();
    }

    /// Whether a tenant has a user.
    #[must_use]
    pub fn has_user(&self, tenant: Uuid, user: Uuid) -> bool {
        self.registration.as_ref().is_none_or(|registration| registration.has_user(tenant, user))
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// What the endpoint answers where the tenant, the app or the resource is not there.
    pub fn begin_sign_in(&mut self, seed: u64, now: MonoTime, ask: DeviceAsk) -> Result<Codes, TokenProblem> {
        let app = self.app(ask.tenant, ask.client)?;
        if app.disabled {
            return Err(TokenProblem::disabled(ask.client));
        }
        self.check_resource(ask.tenant, &ask.scope.resource)?;
        Ok(self.sign_ins.begin(seed, now, ask))
    }

    /// A person types a code, and decides.
    ///
    /// # Errors
    /// Says in a sentence what is wrong; nothing has changed then.
    pub fn decide_sign_in(
        &mut self,
        now: MonoTime,
        user_code: &str,
        decision: Decision,
    ) -> Result<(), &'static str> {
        let tenant = self.sign_ins.waiting(now, user_code).ok_or("no such code waits for anyone")?;
        if let Decision::SignsIn(user) = decision
            && !self.has_user(tenant, user)
        {
            return Err("the tenant of the code has no such user");
        }
        self.sign_ins.decide(now, user_code, decision);
        Ok(())
    }

    /// The managed identity of a request.
    ///
    /// # Errors
    /// What the endpoint answers where there is none, or its key is missing.
    pub(super) fn identity(&self, ask: &IdentityAsk) -> Result<Identity, IdentityProblem> {
        ask.identity(self.registration.as_ref())
    }

    /// Who gets a token for what.
    ///
    /// # Errors
    /// What the endpoint answers where nobody does.
    pub(super) fn decide(
        &mut self,
        seed: u64,
        at: Moment,
        ask: &TokenAsk,
        secret: Option<&str>,
    ) -> Result<Verdict, TokenProblem> {
        let app = self.app(ask.tenant, ask.client)?.clone();
        if app.disabled {
            return Err(TokenProblem::disabled(ask.client));
        }
        let used = self.prove(at.unix, ask, &app, secret)?;
        if app.blocked {
            return Err(TokenProblem::blocked());
        }
        if !app.consent {
            return Err(TokenProblem::no_consent(ask.client));
        }
        if let Some(used) = used {
            self.use_once(at.unix, used)?;
        }
        let verdict = match &ask.grant {
            GrantAsk::App(resource) => {
                self.check_resource(ask.tenant, resource)?;
                Verdict::new(Subject::App(app.roles.clone()), resource, &app)
            }
            GrantAsk::DeviceCode(code) => self.signed_in(seed, at.now, ask, &app, code)?,
            GrantAsk::Refresh(token, scope) => {
                self.renewed(seed, at.now, ask, &app, token, scope.as_ref())?
            }
        };
        Ok(verdict)
    }

    fn app(&self, tenant: Uuid, client: Uuid) -> Result<&App, TokenProblem> {
        self.registration.as_ref().map_or(Ok(&self.anyone), |registration| registration.app(tenant, client))
    }

    fn check_resource(&self, tenant: Uuid, resource: &str) -> Result<(), TokenProblem> {
        let known = self.registration.as_ref().is_none_or(|registration| registration.has_resource(resource));
        if known { Ok(()) } else { Err(TokenProblem::no_resource(resource, tenant)) }
    }

    /// Holds the app's proof against what is registered; `secret` is the only right one while nothing is.
    fn prove(
        &self,
        unix: u64,
        ask: &TokenAsk,
        app: &App,
        secret: Option<&str>,
    ) -> Result<Option<Used>, TokenProblem> {
        match &ask.proof {
            Some(Proof::Secret(given)) => {
                if self.registration.is_some() {
                    app.check_secret(ask.client, given, unix)?;
                } else if secret.is_some_and(|right| right != given) {
                    return Err(TokenProblem::wrong_secret(ask.client));
                }
                Ok(None)
            }
            Some(Proof::Assertion(text)) => {
                let longest = self.registration.as_ref().map(|known| known.assertion_life_s);
                let claimed = Claimed {
                    client: ask.client,
                    endpoint: &ask.endpoint,
                    unix,
                    longest: longest.unwrap_or_default().0,
                    app: self.registration.is_some().then_some(app),
                };
                claimed.check(text)
            }
            None if app.public_client && !matches!(ask.grant, GrantAsk::App(_)) => Ok(None),
            None => Err(TokenProblem::no_proof()),
        }
    }

    fn use_once(&mut self, unix: u64, used: Used) -> Result<(), TokenProblem> {
        if self.used.len() >= MANY_USED {
            self.used.retain(|_, until| *until > unix);
        }
        if self.used.insert(used.key, used.until).is_some() {
            return Err(TokenProblem::replayed());
        }
        Ok(())
    }

    fn signed_in(
        &mut self,
        seed: u64,
        now: MonoTime,
        ask: &TokenAsk,
        app: &App,
        code: &str,
    ) -> Result<Verdict, TokenProblem> {
        let signed_in = self.sign_ins.poll(seed, now, (ask.tenant, ask.client), code)?;
        let consent =
            Consent { tenant: ask.tenant, client: ask.client, user: signed_in.user, scope: signed_in.scope };
        let mut verdict = Verdict::of_user(&consent, &consent.scope, app)?;
        if consent.scope.offline {
            verdict.refresh_token = Some(self.refreshes.begin(seed, now, consent));
        }
        Ok(verdict)
    }

    fn renewed(
        &mut self,
        seed: u64,
        now: MonoTime,
        ask: &TokenAsk,
        app: &App,
        token: &str,
        scope: Option<&Scope>,
    ) -> Result<Verdict, TokenProblem> {
        let (consent, next) = self.refreshes.renew(seed, now, (ask.tenant, ask.client, app), token)?;
        if !self.has_user(ask.tenant, consent.user) {
            return Err(TokenProblem::revoked_refresh());
        }
        let mut verdict = Verdict::of_user(&consent, scope.unwrap_or(&consent.scope), app)?;
        verdict.refresh_token = Some(next);
        Ok(verdict)
    }
}

impl Verdict {
    fn new(subject: Subject, audience: &str, app: &App) -> Self {
        Self {
            subject,
            audience: audience.to_owned(),
            token_life_s: app.token_life_s,
            refresh_in_s: app.refresh_in_s,
            refresh_token: None,
            open_id: false,
        }
    }

    /// In a user's name, for what of the scope can be consented to.
    fn of_user(consent: &Consent, scope: &Scope, app: &App) -> Result<Self, TokenProblem> {
        let all = scope.permissions.iter().any(|permission| permission == ".default");
        let permissions = if all { &app.scopes } else { &scope.permissions };
        if !permissions.iter().all(|permission| app.scopes.contains(permission)) {
            return Err(TokenProblem::no_consent(consent.client));
        }
        let unasked = app.granted_scopes.iter().filter(|granted| !permissions.contains(granted));
        let subject = Subject::User(consent.user, permissions.iter().chain(unasked).cloned().collect());
        Ok(Self { open_id: scope.open_id, ..Self::new(subject, &scope.resource, app) })
    }
}

#[cfg(test)]
mod tests;
