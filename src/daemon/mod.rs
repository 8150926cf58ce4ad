//! Acts: the driver that owns the keeper, and everything that touches the outside.

pub mod clock;
pub mod graph;
pub mod network;
pub mod token;
