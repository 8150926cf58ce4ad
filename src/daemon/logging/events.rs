//! The one match from the keeper's events to lines.

use super::line::line;
use super::people::People;
use crate::daemon::graph::Detail;
use crate::daemon::token::TokenDetail;
use crate::keeper::event::{Event, Trouble, Why};
use crate::keeper::id::LaneIx;

/// What the driver knows beside an event.
pub struct Joined<'a> {
    /// How users are shown.
    pub people: &'a People,
    /// The app's name in the config.
    pub app: &'a dyn Fn(LaneIx) -> String,
    /// Of the answer that was handled last, if that is what the event is about.
    pub answer: Option<&'a Detail>,
    /// Of the token request that was answered last, likewise.
    pub token: Option<&'a TokenDetail>,
    /// Of a session that is set: what wants it, where it is not the plan.
    pub over: Option<&'a str>,
    /// Whether a line about a single session is worth more than debug: it is not while a large plan is carried out,
    /// nor when it says what was said before.
    pub loud: bool,
}

/// Logs what the keeper says.
pub fn keeper_event(event: &Event, joined: &Joined<'_>) {
    match event {
        Event::Set { .. } | Event::Cleared { .. } | Event::Parked { .. } | Event::Unparked { .. } => {
            session_event(event, joined);
        }
        Event::Lapsed { .. } | Event::Throttled { .. } | Event::LaneDown { .. } | Event::LaneUp { .. } => {
            lane_event(event, joined);
        }
        Event::TokenFailed { .. } | Event::TokenGranted { .. } | Event::TokenRejected { .. } => {
            token_event(event, joined);
        }
        // The driver says these with what it knows: who asked, and how long it took.
        Event::PlanApplied(_) | Event::Drained => {}
        // The first of a lane has a line, and the summary the number.
        Event::SessionLapsed { .. } => {}
    }
}

fn session_event(event: &Event, joined: &Joined<'_>) {
    let request_id = joined.answer.and_then(|answer| answer.request_id.as_deref());
    match event {
        Event::Set { user, from, to, why, .. } => line!(joined.loud => INFO, "set",
            user = joined.people.show(*user),
            from = from.map(|from| from.to_string()),
            to = to.to_string(),
            because = joined.over.unwrap_or(because(*why)),
        ),
        Event::Cleared { user, .. } => {
            line!(joined.loud => INFO, "cleared", user = joined.people.show(*user));
        }
        Event::Parked { session, user, refusal, next_try } => line!(joined.loud => WARN, "parked",
            app = (joined.app)(session.lane),
            user = joined.people.show(*user),
            status = refusal.status(),
            code = joined.answer.and_then(|answer| answer.code.as_deref()),
            message = joined.answer.and_then(|answer| answer.message.as_deref()),
            advice = joined.answer.and_then(|answer| answer.advice),
            next_try_s = *next_try,
            request_id = request_id,
        ),
        Event::Unparked { session, user } => line!(joined.loud => INFO, "unparked",
            app = (joined.app)(session.lane),
            user = joined.people.show(*user),
        ),
        _ => {}
    }
}

fn lane_event(event: &Event, joined: &Joined<'_>) {
    let answer = joined.answer;
    let request_id = answer.and_then(|answer| answer.request_id.as_deref());
    match event {
        Event::Lapsed { lane, user } => line!(ERROR, "lapsed",
            app = (joined.app)(*lane),
            user = joined.people.show(*user),
        ),
        Event::Throttled { lane, retry_after, closed, used, quota, foreign } => line!(WARN, "throttled",
            app = (joined.app)(*lane),
            retry_after_s = *retry_after,
            closed_s = *closed,
            window_used = *used,
            of = *quota,
            spent_by_others = foreign.then_some(true),
            advice = foreign.then_some(
                "someone else uses this app registration: give presenced one of its own, or lower its quota here"
            ),
            request_id = request_id,
        ),
        Event::LaneDown { lane, trouble, sessions, first_lapse_in } => line!(ERROR, "app_down",
            app = (joined.app)(*lane),
            cause = cause(*trouble),
            detail = answer.and_then(|answer| answer.cause.as_deref().or(answer.message.as_deref())),
            advice = answer.and_then(|answer| answer.advice),
            sessions = *sessions,
            first_lapse_in_s = *first_lapse_in,
            request_id = request_id,
        ),
        Event::LaneUp { lane, down_for, lapsed } => line!(INFO, "app_up",
            app = (joined.app)(*lane),
            down_s = *down_for,
            lapsed = *lapsed,
        ),
        _ => {}
    }
}

fn token_event(event: &Event, joined: &Joined<'_>) {
    let token = joined.token;
    match event {
        Event::TokenFailed { lane, attempt, next_try, good_for, .. } => line!(
            ERROR,
            "token_failed",
            app = (joined.app)(*lane),
            error = token.map(|token| token.error.as_str()),
            class = token.map(|token| token.class.word()),
            aadsts = token.and_then(|token| token.aadsts),
            meaning = token.map(|token| token.meaning.as_str()),
            said = token.and_then(|token| token.said.as_deref()),
            advice = token.map(|token| token.advice.as_str()),
            attempt = *attempt,
            next_try_s = *next_try,
            token_good_for_s = *good_for,
            correlation_id = token.and_then(|token| token.correlation_id.as_deref()),
        ),
        Event::TokenGranted { lane, lifetime } => {
            line!(INFO, "token_granted", app = (joined.app)(*lane), lifetime_s = *lifetime);
        }
        Event::TokenRejected { lane } => line!(
            WARN,
            "token_rejected",
            app = (joined.app)(*lane),
            code = joined.answer.and_then(|answer| answer.code.as_deref()),
            advice = joined.answer.and_then(|answer| answer.advice),
            request_id = joined.answer.and_then(|answer| answer.request_id.as_deref()),
        ),
        _ => {}
    }
}

fn because(why: Why) -> &'static str {
    match why {
        Why::Added => "added",
        Why::Changed => "config",
        Why::Regained => "regained",
    }
}

/// What an app that is down suffers from.
#[must_use]
pub fn cause(trouble: Trouble) -> String {
    match trouble {
        Trouble::Lost(loss) => format!("{loss} x5"),
        Trouble::NoToken => "no token".to_owned(),
        Trouble::TokenRejected => "every token is rejected".to_owned(),
        Trouble::Refused(refusal) => {
            format!("status {} for every user asked, none granted", refusal.status())
        }
    }
}
