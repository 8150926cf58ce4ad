//! The built binary as an administrator meets it: config files, signals, logs, exit codes, and `presenced sandbox` as
//! the service, over real HTTP on loopback.
//!
//! Nothing here sleeps for luck: what is waited for is an event (a log line, a figure of the sandbox's report, the end
//! of a process) with a deadline, [`patience::PATIENCE`].
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "not shipped")]

// What the tests are made with.
mod daemon;
mod graph;
mod groups;
mod http_door;
mod keys;
mod meddler;
mod patience;
mod sandbox;
mod secrecy;
mod service_manager;
mod site;
mod tunnel;

// The tests.
mod alerts;
mod authority;
mod batch;
mod contract;
mod control;
mod demo;
mod directory;
mod doctor;
mod doctor_ways;
mod entra;
mod exits;
mod faults;
mod full_lane;
mod logs;
mod many_tenants;
mod metrics;
mod million;
mod monitoring;
mod network;
mod notify;
mod overrides;
mod page;
mod peers;
mod plan;
mod principal_names;
mod printed;
mod probes;
mod refusals;
mod reload;
mod restart;
mod schedules;
mod sign_ins;
mod state_dir;
mod stopping;
mod systemd;
mod tokens;
mod watch;
mod ways;
