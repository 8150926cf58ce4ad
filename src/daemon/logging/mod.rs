//! The log: the one place that gives the keeper's events, and the daemon's own, a level, a name and fields.
//!
//! `error`: the daemon cannot do its work. `warn`: an operator should look. `info`: a session or the plan changed.
//! `debug`: the rest. One line a change, never one a renewal. Event names and field names are stable: scripts rely on
//! them.

mod directory;
mod events;
mod format;
mod kept;
mod line;
mod lines;
mod notices;
mod people;
mod setup;
mod stderr;
mod watch;

pub use directory::*;
pub use events::{Joined, cause, keeper_event};
pub use kept::*;
pub use lines::*;
pub use notices::*;
pub use people::{People, hashed};
pub use setup::{LogError, LogFormat, init};
pub use watch::*;

#[cfg(test)]
pub(crate) mod tests;
