//! Wires the rooms together, one file a subcommand.

pub mod check;
