//! presenced keeps Microsoft Graph presence sessions alive.
//!
//! Four rooms and the door: [`keeper`] decides, [`config`] admits, [`sandbox`] pretends to be Graph, [`daemon`]
//! acts, [`cli`] wires them. Imports go one way; `tests/architecture.rs` holds them to it.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod keeper;
pub mod sandbox;
