//! Decides which request goes out when, so that no session lapses.
//!
//! The keeper is a state machine polled with `now`. It never reads a clock, does IO, logs, spawns or holds a
//! token: it is told what happened through [`Keeper::handle`] and says what to do through
//! [`Keeper::poll_output`].

mod agenda;
mod budget;
pub mod diff;
pub mod event;
pub mod forecast;
pub mod funding;
pub mod id;
mod lane;
mod machine;
pub mod outcome;
pub mod plan;
pub mod presence;
mod reading;
mod recent;
mod session;
pub mod snapshot;
pub mod tally;
pub mod time;
mod token;
mod trouble;
mod view;
mod wakes;

pub use diff::{Diff, diff};
pub use event::{Because, Call, Event, Input, Lease, OnRemove, Output, Over, Record, Request, RestoredLane};
pub use machine::Keeper;
pub use outcome::{Loss, Outcome, Refusal, TokenAnswer, TokenFailure};
pub use plan::{LaneHead, LanePlan, Plan, Quota, SessionPlan};
pub use presence::{Expiration, PresenceState, Wish};
pub use reading::{NoRead, Read};
pub use snapshot::{LaneSnapshot, Next, Page, Phase, Query, SessionView, Snapshot};
pub use time::MonoTime;
