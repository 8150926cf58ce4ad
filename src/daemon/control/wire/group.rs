//! What is said of a group as a whole, and what comes of steering it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Brief, Counts};

/// `GET /v1/groups/{group}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Its name in the config.
    pub group: String,
    /// The app that its members are in.
    pub app: String,
    /// How many they are.
    pub of: usize,
    /// How the listed ones stand.
    pub sessions: Counts,
    /// At most 10,000 of them, in the order of their ids.
    pub members: Vec<Brief>,
}

/// `POST /v1/groups/{group}/release` and `.../resume`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupAsk {
    /// Why; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of steering a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GroupResult {
    /// Its name in the config.
    pub group: String,
    /// The app that its members are in.
    pub app: String,
    /// How many they are.
    pub members: usize,
    /// Of how many anything is another now.
    pub changed: usize,
    /// Of how many it could not be done.
    pub failed: usize,
    /// Why, of the first of those.
    pub failure: Option<String>,
    /// What is shown of them for a while, or `none`; only where an override was put in force.
    pub wanted: Option<String>,
    /// When that ends.
    pub ends_at: Option<String>,
    /// What holds for how many now: `config`, `override:<source>` or `released`.
    pub holds: BTreeMap<String, usize>,
    /// Whether all of it outlives a restart; `null`: nothing had to be kept.
    pub kept: Option<bool>,
}
