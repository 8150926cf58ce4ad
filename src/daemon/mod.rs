//! Acts: the driver that owns the keeper, and everything that touches the outside.

pub mod archive;
pub mod audit;
mod chatter;
pub mod clock;
pub mod control;
pub mod cron;
pub mod doctor;
pub mod doors;
pub mod driver;
pub mod figures;
pub mod graph;
pub mod health;
pub mod http;
pub mod lanes;
mod latency;
pub mod ledger;
pub mod logging;
pub mod meters;
pub mod network;
pub mod notices;
pub mod outlook;
pub mod overrides;
pub mod ping;
pub mod reload;
pub mod serve;
pub mod signals;
pub mod start;
pub mod state_dir;
pub mod story;
pub mod systemd;
pub mod tempo;
#[cfg(test)]
mod tests;
pub mod token;
pub mod troubles;
pub mod wall;
pub mod watch;
