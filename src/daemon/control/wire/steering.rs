//! What the control API is told to do, and what comes of it.

use serde::{Deserialize, Serialize};

use super::Override;

/// `PUT /v1/overrides/{user}/{source}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutOverride {
    /// `Available`, `Busy`, `Away`, `DoNotDisturb` or `none`, without case.
    pub availability: String,
    /// Needed with `Busy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// How long it lasts: seconds, or a text such as `90s`, `30m`, `PT2H`; 1 s to 7 d, 8 h where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Higher ones hold; 0 where it is not said.
    #[serde(default)]
    pub priority: i32,
    /// Why; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A time to live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ttl {
    /// Seconds.
    Seconds(u64),
    /// A duration in words.
    Text(String),
}

/// What came of an override.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OverrideResult {
    /// Whether anything is another now.
    pub changed: bool,
    /// The override that was put in force, or taken back.
    pub over: Option<Override>,
    /// What holds for the user now: `config`, `override:<source>` or `released`.
    pub holds: String,
    /// Whether it outlives a restart; `null`: nothing had to be kept.
    pub kept: Option<bool>,
}

/// `POST /v1/release` and `POST /v1/resume`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAsk {
    /// Whose sessions; with `all`, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The app, where the user is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Everyone's; of `resume`, all releases.
    #[serde(default)]
    pub all: bool,
    /// Why; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/reload`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadAsk {
    /// Removals that would wait are meant.
    #[serde(default)]
    pub accept_shrink: bool,
}

/// What came of a reload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadResult {
    /// Whether the file was taken.
    pub taken: bool,
    /// The config in force.
    pub config: String,
    /// The one before it, where the file was taken.
    pub previous: Option<String>,
    /// Sessions that were added.
    pub added: usize,
    /// Sessions of which something else is wanted.
    pub changed: usize,
    /// Sessions that are gone.
    pub removed: usize,
    /// The first 100 changes, in words.
    pub changes: Vec<String>,
    /// Sessions in all.
    pub sessions: usize,
    /// Removals that wait for `--accept-shrink`.
    pub held: usize,
    /// Warnings, and the first.
    pub warnings: usize,
    /// The first warning.
    pub first_warning: Option<String>,
    /// How long the sets take.
    pub sets_done_in_s: f64,
    /// Problems, where the file was refused; 0: something else was wrong.
    pub problems: usize,
    /// The first problem.
    pub refused: Option<String>,
    /// All problems, as `check` shows them.
    pub diagnostics: Option<String>,
}
