//! What the control API says and is told, as JSON. Field names are stable: scripts rely on them. Times are RFC 3339, UTC;
//! spans are seconds.

mod group;
mod steering;

use serde::{Deserialize, Serialize};

pub use group::*;
pub use steering::*;

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started: String,
    /// When this was so.
    pub at: String,
    /// `starting`, `running`, `reloading` or `stopping`.
    pub stage: String,
    /// The hash of the config in force, seven digits.
    pub config: String,
    /// What somebody has to mend about the config.
    pub config_trouble: Option<String>,
    /// What came of the last reload.
    pub last_reload: Option<LastReload>,
    /// All sessions.
    pub sessions: Counts,
    /// Overrides in force.
    pub overrides: usize,
    /// Who is released.
    pub released: Option<Released>,
    /// Each app, by name.
    pub apps: Vec<App>,
    /// The sessions that stand worst, at most 20.
    pub worst: Vec<Brief>,
}

/// What came of a reload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastReload {
    /// When.
    pub at: String,
    /// Why it was refused.
    pub refused: Option<String>,
}

/// Who is released.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Released {
    /// Everyone.
    All,
    /// So many users.
    Users(usize),
}

/// How many sessions stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that are wanted.
    pub wanted: u32,
    /// Those in date.
    pub held: u32,
    /// Of the held ones, those close to their lapse or waiting for a repeat.
    pub late: u32,
    /// Those past their lapse.
    pub lapsed: u32,
    /// Those never granted yet.
    pub pending: u32,
    /// Those that Graph refuses.
    pub parked: u32,
    /// Those that the quota cannot keep.
    pub unfunded: u32,
    /// Those to be cleared; not among the wanted.
    pub clearing: u32,
}

/// An app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct App {
    /// Its name in the config.
    pub app: String,
    /// The tenant.
    pub tenant: String,
    /// The app registration.
    pub client_id: String,
    /// `open`, `closed`, `probing`, `parked` or `no_token`.
    pub standing: String,
    /// Of a closed one, until when.
    pub closed_for_s: Option<f64>,
    /// Its sessions.
    pub sessions: Counts,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests that count against the quota now.
    pub quota_used: u32,
    /// What the quota is.
    pub quota: u32,
    /// After which share of its term a session is renewed.
    pub period_fraction: f64,
    /// To the first lapse that is near.
    pub next_lapse_in_s: Option<f64>,
    /// How long the token is good.
    pub token_good_for_s: Option<f64>,
    /// When the credential ends, as far as that is known.
    pub credential_ends: Option<String>,
    /// Renewals that were granted.
    pub renewals: u64,
    /// Answers 429.
    pub throttled: u64,
    /// Answers 401.
    pub token_rejected: u64,
    /// Answers that refuse a user.
    pub refused: u64,
    /// Lost answers.
    pub lost: u64,
    /// Sessions that lapsed.
    pub lapses: u64,
}

/// A session in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// The user's object id.
    pub user: String,
    /// What the user is called.
    pub name: Option<String>,
    /// The app's name.
    pub app: String,
    /// `held`, `lapsed`, `pending`, `parked`, `unfunded`, `clearing` or `none`.
    pub state: String,
    /// What is wanted: `Available/Available` and its like, or `none`.
    pub wanted: String,
    /// What the service granted last.
    pub granted: Option<String>,
    /// What wants it: `config`, `schedule:<name>`, `override:<source>` or `released`.
    pub because: String,
    /// To its lapse; below zero when that is past.
    pub lapses_in_s: Option<f64>,
    /// What is wrong, in words.
    pub reason: Option<String>,
}

/// `GET /v1/users/{user}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// The object id.
    pub user: String,
    /// What the user is called.
    pub name: Option<String>,
    /// What other systems call them.
    pub aliases: Vec<String>,
    /// One for each app.
    pub sessions: Vec<Session>,
}

/// A session in full.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// In short.
    #[serde(flatten)]
    pub brief: Brief,
    /// What the config wants now, whatever is in force.
    pub planned: String,
    /// The schedule by which it wants that; `null`: none of the user's is open.
    pub schedule: Option<String>,
    /// When it will want something else by schedule; `null`: never.
    pub until: Option<String>,
    /// What that is.
    pub then: Option<String>,
    /// The groups that the user belongs to in this app.
    pub groups: Vec<String>,
    /// For how long a set asks.
    pub expiration: Option<String>,
    /// When the service would forget it.
    pub expires_in_s: Option<f64>,
    /// When the last set that was granted was sent.
    pub sent: Option<String>,
    /// What comes next: `renewal`, `retry`, `trial`, `turn`, `answer` or `nothing`.
    pub next: String,
    /// When.
    pub next_in_s: Option<f64>,
    /// Renewals so far.
    pub renewals: u32,
    /// The overrides of this user, the one that holds first.
    pub overrides: Vec<Override>,
    /// Why nothing is held, if somebody said so.
    pub released: Option<Release>,
    /// The last answer.
    pub last_answer: Option<LastAnswer>,
    /// What it showed in the last 24 hours.
    pub today: Vec<Moment>,
}

/// An override.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// The user's object id.
    pub user: String,
    /// What the user is called.
    pub name: Option<String>,
    /// The app's name.
    pub app: String,
    /// `operator`, or what an API client calls it.
    pub source: String,
    /// What it wants, or `none`.
    pub wanted: String,
    /// When it ends.
    pub ends_at: String,
    /// How long it lasts from now on.
    pub ends_in_s: f64,
    /// Higher ones hold.
    pub priority: i32,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: String,
    /// Whether it is the one that holds.
    pub holds: bool,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The user's object id; without it, everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: String,
}

/// The last answer on a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastAnswer {
    /// When it came.
    pub at: String,
    /// `granted`, `throttled`, `token_rejected`, `refused` or `lost`.
    pub outcome: String,
    /// Graph's error code, or what went wrong.
    pub cause: Option<String>,
    /// Graph's `request-id`; Microsoft's support asks for it. Of calls that went out together, there is none.
    pub request_id: Option<String>,
}

/// What a session showed from a moment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// From when on.
    pub at: String,
    /// `held`, `late` (held, and close to its lapse), `lapsed`, `parked`, `released` or `none`.
    pub state: String,
    /// Of a held or late one, what.
    pub shows: Option<String>,
    /// Whether an override wanted it.
    pub overridden: bool,
}

/// `GET /v1/users/{user}/why`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Why {
    /// The user in full.
    #[serde(flatten)]
    pub user: User,
    /// One for each session, in the same order.
    pub why: Vec<Reasons>,
}

/// Why a user is seen as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reasons {
    /// The app's name.
    pub app: String,
    /// The line of the config that the user is on: `conf.d/10-hq.toml:31`.
    pub line: Option<String>,
    /// What others see, `Available/Available` and its like.
    pub others_see: Option<String>,
    /// Why that is not known.
    pub not_read: Option<String>,
    /// What it comes to, sentence by sentence.
    pub explanation: Vec<String>,
    /// What one could do.
    pub advice: Vec<String>,
}

/// `GET /v1/overrides`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overrides {
    /// How many there are in all.
    pub of: usize,
    /// At most 1,000 of them.
    pub overrides: Vec<Override>,
    /// Who is released, at most 1,000.
    pub released: Vec<Release>,
    /// The release of everyone.
    pub all_released: Option<Release>,
}

/// `GET /v1/health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// The driver's loop turns.
    pub live: bool,
    /// A plan is in force.
    pub ready: bool,
    /// Every session is held in time.
    pub held: bool,
    /// What is not as it should be.
    pub reasons: Vec<String>,
}

/// `GET /v1/history`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// The oldest first.
    pub records: Vec<crate::daemon::audit::Record>,
}

/// Why a request was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub error: Error,
}

/// A code for programs and words for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Error {
    /// Stable.
    pub code: String,
    /// For people.
    pub message: String,
}
