//! The token endpoint and what goes with it: codes for signing in, tokens of managed identities, orders to revoke.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::Service;
use crate::keeper::time::MonoTime;
use crate::sandbox::authority::ask::{DeviceAsk, TokenAsk};
use crate::sandbox::authority::identity::{IdentityAsk, IdentityProblem};
use crate::sandbox::authority::problem::TokenProblem;
use crate::sandbox::authority::{Moment, Verdict};
use crate::sandbox::call::Bearer;
use crate::sandbox::faults::BodyForm;
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reply::{
    Delivery, Granted, IdentityContent, IdentityReply, IdentityToken, TokenContent, TokenReply, TokenTicket,
};
use crate::sandbox::seal;
use crate::sandbox::token::{Claims, Statement, Subject, TokenId};

impl Service {
    /// Takes a token request that arrives now. The ticket of the answer goes back by [`Self::token_done`].
    pub fn token(&mut self, now: MonoTime, ask: Result<TokenAsk, TokenProblem>) -> TokenReply {
        let mut reply = self.token_reply();
        self.counts.tokens.requests += 1;
        match ask {
            Err(problem) => {
                self.counts.tokens.decide(false);
                self.refuse_token(problem, &mut reply);
            }
            Ok(ask) => {
                let lane = self.lane_of(ask.tenant, ask.client);
                reply.ticket = Some(TokenTicket(lane));
                self.lanes[lane as usize].counts.tokens.begin();
                if !self.token_trouble(ask.tenant, ask.client, &mut reply) {
                    let seed = self.options.faults.seed;
                    let at = Moment { now, unix: self.unix(now) };
                    match self.authority.decide(seed, at, &ask, self.faults.secret.as_deref()) {
                        Err(problem) => self.refuse_token(problem, &mut reply),
                        Ok(verdict) => {
                            reply.delivery = Delivery::Answered(BodyForm::Envelope);
                            let granted = self.grant_token(at, lane, &ask, verdict);
                            reply.content = TokenContent::Granted(Box::new(granted));
                        }
                    }
                }
                let granted = matches!(reply.content, TokenContent::Granted(..));
                self.lanes[lane as usize].counts.tokens.decide(granted);
                self.counts.tokens.decide(granted);
            }
        }
        reply
    }

    /// Takes a request for a device code that arrives now.
    pub fn device_code(&mut self, now: MonoTime, ask: Result<DeviceAsk, TokenProblem>) -> TokenReply {
        let mut reply = self.token_reply();
        match ask {
            Err(problem) => self.refuse_token(problem, &mut reply),
            Ok(ask) => {
                if !self.token_trouble(ask.tenant, ask.client, &mut reply) {
                    match self.authority.begin_sign_in(self.options.faults.seed, now, ask) {
                        Err(problem) => self.refuse_token(problem, &mut reply),
                        Ok(codes) => {
                            reply.delivery = Delivery::Answered(BodyForm::Envelope);
                            reply.content = TokenContent::Codes(codes);
                        }
                    }
                }
            }
        }
        reply
    }

    /// Takes a request for a token of a managed identity that arrives now.
    pub fn identity(&mut self, now: MonoTime, ask: Result<IdentityAsk, IdentityProblem>) -> IdentityReply {
        self.token_number += 1;
        let number = self.token_number;
        self.counts.tokens.requests += 1;
        let (content, status, retry_after) = match self.identity_trouble() {
            Some((status, retry_after)) => (IdentityContent::Status, status, retry_after),
            None => match ask.and_then(|ask| self.identity_token(now, &ask)) {
                Ok(token) => (IdentityContent::Granted(Box::new(token)), 200, None),
                Err(problem) => {
                    let status = problem.status;
                    (IdentityContent::Problem(problem), status, None)
                }
            },
        };
        self.counts.tokens.decide(status == 200);
        IdentityReply { number, status, content, retry_after, latency: self.faults.latency(number) }
    }

    /// Notes that a token request has its answer, or that its client has gone.
    pub fn token_done(&mut self, ticket: TokenTicket) {
        self.lanes[ticket.0 as usize].counts.tokens.end();
    }

    /// The token of a bearer text.
    #[must_use]
    pub fn bearer(&self, text: Option<&str>) -> Bearer {
        let Some(text) = text else { return Bearer::Missing };
        TokenId::from_text(text, self.options.faults.seed).map_or(Bearer::Unknown, Bearer::Token)
    }

    /// Makes every token that is out worth nothing.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke_all();
    }

    /// From now on a token of a client that takes claims challenges is only good if it was asked for with these claims.
    pub fn challenge_tokens(&mut self, now: MonoTime) {
        self.challenge = Some(self.unix(now));
    }

    fn token_reply(&mut self) -> TokenReply {
        self.token_number += 1;
        let number = self.token_number;
        TokenReply {
            number,
            status: 200,
            content: TokenContent::Gateway,
            retry_after: None,
            delivery: Delivery::Answered(self.faults.error_body),
            latency: self.faults.latency(number),
            ticket: None,
        }
    }

    fn refuse_token(&mut self, problem: TokenProblem, reply: &mut TokenReply) {
        self.counts.invalid += u64::from(problem.invalid);
        reply.status = problem.status;
        reply.content = TokenContent::Problem(problem);
    }

    /// Answers by script, if there is one for this app.
    fn token_trouble(&self, tenant: Uuid, client: Uuid, reply: &mut TokenReply) -> bool {
        let Some(trouble) = self.faults.token.as_ref().filter(|t| t.is_for(tenant, client)) else {
            return false;
        };
        reply.retry_after = trouble.retry_after.clone().map(RetryAfter::Text);
        reply.delivery = match (trouble.hang, trouble.reset) {
            (true, _) => Delivery::Hung,
            (false, true) => Delivery::Cut,
            (false, false) => Delivery::Answered(trouble.body),
        };
        reply.status = trouble.status;
        if let Some(problem) = trouble.problem() {
            reply.status = problem.status;
            reply.content = TokenContent::Problem(problem);
        }
        true
    }

    /// The trouble by script that is next, which is then over for one request more.
    fn identity_trouble(&mut self) -> Option<(u16, Option<RetryAfter>)> {
        let troubles = &mut self.faults.identity;
        troubles.retain(|trouble| trouble.requests > 0);
        let trouble = troubles.first_mut()?;
        trouble.requests -= 1;
        let next = (trouble.status, trouble.retry_after.clone().map(RetryAfter::Text));
        troubles.retain(|trouble| trouble.requests > 0);
        Some(next)
    }

    fn grant_token(&mut self, at: Moment, lane: u32, ask: &TokenAsk, verdict: Verdict) -> Granted {
        let Verdict { subject, audience, token_life_s, refresh_in_s, refresh_token, open_id } = verdict;
        let subject = subject.without(&self.faults.withheld_permissions);
        let user = match &subject {
            Subject::App(_) => None,
            Subject::User(user, scopes) => {
                let scopes: Vec<_> = scopes.iter().map(|scope| format!("{audience}/{scope}")).collect();
                Some((*user, scopes.join(" ")))
            }
        };
        let statement = Statement {
            tenant: ask.tenant,
            client: ask.client,
            subject,
            audience,
            claims: ask.claims,
            issued_at: at.unix,
        };
        let (token, access_token, life) =
            self.give(at.now, lane, &statement, token_life_s.map(Duration::from_secs));
        let id_token =
            user.as_ref().filter(|_| open_id).map(|(user, _)| self.id_token(ask, &statement, *user));
        Granted {
            token,
            access_token,
            life_s: life.as_secs(),
            refresh_in_s: refresh_in_s.or(self.faults.refresh_in_s),
            scope: user.map(|(_, scope)| scope),
            refresh_token,
            id_token,
        }
    }

    fn identity_token(&mut self, now: MonoTime, ask: &IdentityAsk) -> Result<IdentityToken, IdentityProblem> {
        let identity = self.authority.identity(ask)?;
        let lane = self.lane_of(identity.tenant, identity.client_id);
        let tokens = &mut self.lanes[lane as usize].counts.tokens;
        tokens.begin();
        tokens.decide(true);
        tokens.end();
        let statement = Statement {
            tenant: identity.tenant,
            client: identity.client_id,
            subject: Subject::App(identity.roles).without(&self.faults.withheld_permissions),
            audience: ask.resource.clone(),
            claims: Claims::default(),
            issued_at: self.unix(now),
        };
        let (_, access_token, life) = self.give(now, lane, &statement, None);
        Ok(IdentityToken {
            host: ask.host,
            access_token,
            client: identity.client_id,
            resource: ask.resource.clone(),
            not_before: statement.issued_at,
            life_s: life.as_secs(),
        })
    }

    fn give(
        &mut self,
        now: MonoTime,
        lane: u32,
        statement: &Statement,
        life: Option<Duration>,
    ) -> (TokenId, String, Duration) {
        let seed = self.options.faults.seed;
        let life = life.or(self.options.token_life);
        let what = (statement.subject.rights(), statement.claims);
        let (token, life) = self.tokens.give(seed, lane, now, life, what);
        (token, token.text(seed, statement, life), life)
    }

    /// Source of the claims: Microsoft's page "ID token claims reference".
    fn id_token(&self, ask: &TokenAsk, statement: &Statement, user: Uuid) -> String {
        let host = ask.endpoint.split('/').next().unwrap_or_default();
        let claims = json!({
            "aud": ask.client,
            "iss": format!("http://{host}/{}/v2.0", ask.tenant),
            "iat": statement.issued_at,
            "nbf": statement.issued_at,
            "exp": statement.issued_at + 3_600,
            "oid": user,
            "sub": user.simple().to_string(),
            "tid": ask.tenant,
            "ver": "2.0",
        });
        // The number of no access token: it is none.
        seal::jwt(self.options.faults.seed, 0, claims.to_string().as_bytes())
    }
}
