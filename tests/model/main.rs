//! The keeper against an independent reading of Graph, in virtual time.
//!
//! `cargo test --test model` runs a fixed set of seeds. `MODEL_SEED=n` replays one; `MODEL_SECONDS=s` takes seeds from 0
//! on for so long.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "not shipped"
)]

mod chance;
mod checks;
mod lanes;
mod overrides;
mod scale;
mod schedules;
mod seeds;
mod world;
