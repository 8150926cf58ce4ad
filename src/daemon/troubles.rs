//! What the log said last of apps that are in trouble, for whoever is told of it later.

use std::collections::BTreeMap;

use super::graph::Detail;
use super::logging;
use super::token::TokenDetail;
use crate::keeper::event::{Event, Trouble};
use crate::keeper::id::LaneIx;

/// Apps in trouble, by their places.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    lanes: BTreeMap<LaneIx, AppTrouble>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AppTrouble {
    /// Nothing goes through for it.
    pub down: Option<Said>,
    /// Of the last user that was refused.
    pub parked: Said,
    /// Of the last token request that failed.
    token: Said,
}

/// What was said of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// What it is.
    pub detail: Option<String>,
    /// What to do.
    pub advice: Option<String>,
}

impl Troubles {
    /// Those of one app.
    #[must_use]
    pub fn of(&self, lane: LaneIx) -> Option<&AppTrouble> {
        self.lanes.get(&lane)
    }

    /// Whether an event would change anything.
    #[must_use]
    pub fn concerns(event: &Event) -> bool {
        matches!(
            event,
            Event::Parked { .. } | Event::TokenFailed { .. } | Event::LaneDown { .. } | Event::LaneUp { .. }
        )
    }

    /// Remembers what an event says, with what the log is told beside it.
    pub fn hear(&mut self, event: &Event, answer: Option<&Detail>, token: Option<&TokenDetail>) {
        let of_answer = || Said {
            detail: answer.and_then(|answer| answer.cause.clone().or_else(|| answer.message.clone())),
            advice: answer.and_then(|answer| answer.advice).map(str::to_owned),
        };
        match event {
            Event::Parked { session, refusal, .. } => {
                let said = of_answer();
                let detail = said.detail.map_or_else(String::new, |detail| format!(": {detail}"));
                let detail = Some(format!("status {}{detail}", refusal.status()));
                self.lanes.entry(session.lane).or_default().parked = Said { detail, ..said };
            }
            Event::TokenFailed { lane, .. } => {
                let said = token.map(|token| Said {
                    detail: Some(token.meaning.clone()),
                    advice: Some(token.advice.clone()),
                });
                self.lanes.entry(*lane).or_default().token = said.unwrap_or_default();
            }
            Event::LaneDown { lane, trouble, .. } => {
                let app = self.lanes.entry(*lane).or_default();
                let said = if *trouble == Trouble::NoToken { app.token.clone() } else { of_answer() };
                let detail = said.detail.map_or_else(String::new, |detail| format!(": {detail}"));
                let detail = Some(format!("{}{detail}", logging::cause(*trouble)));
                app.down = Some(Said { detail, ..said });
            }
            Event::LaneUp { lane, .. } => self.lanes.entry(*lane).or_default().down = None,
            _ => {}
        }
    }

    /// An app's place is free for another one.
    pub fn closed(&mut self, lane: LaneIx) {
        self.lanes.remove(&lane);
    }
}
