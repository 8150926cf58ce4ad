//! The token endpoint.

use super::Service;
use crate::keeper::time::MonoTime;
use crate::sandbox::call::Bearer;
use crate::sandbox::faults::BodyForm;
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reply::{Delivery, TokenContent, TokenReply, TokenTicket};
use crate::sandbox::token::{Proof, TokenAsk, TokenId, TokenProblem};

impl Service {
    /// Takes a token request that arrives now. The ticket of the answer goes back by [`Self::token_done`].
    pub fn token(&mut self, now: MonoTime, ask: Result<TokenAsk, TokenProblem>) -> TokenReply {
        self.token_number += 1;
        let number = self.token_number;
        self.counts.tokens.requests += 1;
        let mut reply = TokenReply {
            number,
            status: 200,
            content: TokenContent::Gateway,
            retry_after: None,
            delivery: Delivery::Answered(self.faults.error_body),
            latency: self.faults.latency(number),
            ticket: None,
        };
        match ask {
            Err(problem) => {
                self.counts.invalid += 1;
                self.counts.tokens.decide(false);
                reply.status = problem.status;
                reply.content = TokenContent::Problem(problem);
            }
            Ok(ask) => {
                let lane = self.lane_of(ask.tenant, ask.client);
                reply.ticket = Some(TokenTicket(lane));
                self.lanes[lane as usize].counts.tokens.begin();
                self.decide_token(now, lane, &ask, &mut reply);
                let granted = matches!(reply.content, TokenContent::Granted(..));
                self.lanes[lane as usize].counts.tokens.decide(granted);
                self.counts.tokens.decide(granted);
            }
        }
        reply
    }

    /// Notes that a token request has its answer, or that its client has gone.
    pub fn token_done(&mut self, ticket: TokenTicket) {
        self.lanes[ticket.0 as usize].counts.tokens.end();
    }

    fn decide_token(&mut self, now: MonoTime, lane: u32, ask: &TokenAsk, reply: &mut TokenReply) {
        if let Some(trouble) = self.faults.token.as_ref().filter(|t| t.is_for(ask.tenant, ask.client)) {
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
            return;
        }
        if let (Some(right), Proof::Secret(secret)) = (&self.faults.secret, &ask.proof)
            && right != secret
        {
            let problem = TokenProblem::wrong_secret(ask.client);
            reply.status = problem.status;
            reply.content = TokenContent::Problem(problem);
            return;
        }
        let seed = self.options.faults.seed;
        let (token, life) = self.tokens.give(seed, lane, now, self.options.token_life);
        reply.delivery = Delivery::Answered(BodyForm::Envelope);
        reply.content = TokenContent::Granted(token, life.as_secs());
    }

    /// The token of a bearer text.
    #[must_use]
    pub fn bearer(&self, text: Option<&str>) -> Bearer {
        let Some(text) = text else { return Bearer::Missing };
        TokenId::from_text(text, self.options.faults.seed).map_or(Bearer::Unknown, Bearer::Token)
    }

    /// The text of a token.
    #[must_use]
    pub fn token_text(&self, token: TokenId) -> String {
        token.text(self.options.faults.seed)
    }

    /// Makes every token that is out worth nothing.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke_all();
    }
}
