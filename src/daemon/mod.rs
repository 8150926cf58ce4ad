//! Acts: the driver that owns the keeper, and everything that touches the outside.

pub mod archive;
mod chatter;
pub mod clock;
pub mod cron;
pub mod doctor;
pub mod driver;
pub mod figures;
pub mod graph;
pub mod lanes;
mod latency;
pub mod ledger;
pub mod logging;
pub mod network;
pub mod outlook;
pub mod reload;
pub mod signals;
pub mod start;
pub mod state_dir;
pub mod systemd;
#[cfg(test)]
mod tests;
pub mod token;
