//! The keeper's rules, one at a time, in virtual time.
#![allow(clippy::unwrap_used, reason = "not shipped")]

mod bench;
mod outage;
mod overrides;
mod plans;
mod refusals;
mod renewals;
