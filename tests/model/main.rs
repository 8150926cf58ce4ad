//! The keeper against an independent reading of Graph, in virtual time.
//!
//! `cargo test --test model` runs a fixed set of seeds. `MODEL_SEED=n` replays one; `MODEL_SEEDS=a..b` runs others;
//! `MODEL_SECONDS=s` goes on with new seeds for so long.
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
mod scale;
mod seeds;
mod world;
