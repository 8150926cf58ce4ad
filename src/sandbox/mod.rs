//! Pretends to be Microsoft Graph's presence service, and to read groups and users as its directory does, from their
//! documentation. It uses nothing of the project but the time type, so that it cannot share the keeper's mistakes.
//!
//! [`service`] is the machine: pure, told the time with each call. [`http`] is the listener around it.

pub mod aggregate;
pub mod authority;
pub mod batch;
pub mod call;
pub mod chance;
pub mod counts;
pub mod directory;
pub mod faults;
pub mod http;
pub mod lane;
pub mod objects;
pub mod presence;
pub mod problem;
pub mod query;
pub mod quota;
pub mod reads;
pub mod reply;
pub mod report;
pub mod route;
pub mod seal;
pub mod service;
pub mod session;
pub mod token;
