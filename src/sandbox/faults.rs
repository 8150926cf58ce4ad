//! What goes wrong on purpose: seeded chance, and troubles by script.
//!
//! The whole of it is one JSON document, [`Faults`]; a change is a merge patch (RFC 7396) over it. Chance is a pure
//! function of the seed and the number of the request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::authority::trouble::{IdentityTrouble, TokenTrouble};
use super::chance::{self, Purpose};
use super::quota::{Limit, RetryAfterForm, WindowKind};
use directory::DirectoryFaults;

pub mod directory;

/// Everything that can go wrong, and the variants of what goes right. The default is a healthy service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The seed of all chance.
    pub seed: u64,
    /// Which part of the requests, 0 to 1, fails with one of `statuses`; nothing is done then.
    pub error_rate: f64,
    /// The statuses of failing requests.
    pub statuses: Vec<u16>,
    /// Which part gets 401 on a good token.
    pub unauthorized_rate: f64,
    /// Which part is done, and the connection is closed instead of an answer.
    pub lost_rate: f64,
    /// Which part is not done, and the connection is closed.
    pub reset_rate: f64,
    /// How long requests are on their way before they arrive and count, in milliseconds of the service's clock. It
    /// is the listener that lets them wait.
    pub travel_ms: LatencySpan,
    /// How long answers take from the arrival of the request, in milliseconds of the service's clock.
    pub latency_ms: LatencySpan,
    /// No request is answered at all; those that wait are cut off when this ends.
    pub hang: bool,
    /// Every request but those for a token gets this.
    pub outage: Option<Trouble>,
    /// Every presence request gets 429.
    pub throttle: Option<Throttle>,
    /// Every presence request in a tenant gets this.
    pub tenants: BTreeMap<Uuid, Trouble>,
    /// Every presence request of an app, by client id, gets this.
    pub apps: BTreeMap<Uuid, Trouble>,
    /// Every valid request that names this user in its path gets this. Gaps of the user are excused.
    pub users: BTreeMap<Uuid, Trouble>,
    /// What goes wrong with reads of the directory alone.
    pub directory: DirectoryFaults,
    /// Permissions that no token has that is given from now on.
    pub withheld_permissions: Vec<String>,
    /// What the token endpoint does.
    pub token: Option<TokenTrouble>,
    /// What the managed identity endpoints do, one after the other; what is over is taken out.
    pub identity: Vec<IdentityTrouble>,
    /// The only client secret that is right. Every one is when this is absent. It says nothing once apps are registered.
    pub secret: Option<String>,
    /// `refresh_in` of all tokens, in seconds; absent: they have none.
    pub refresh_in_s: Option<u64>,
    /// How far the wall clock of the service is ahead, in seconds; behind, where it is below zero.
    pub clock_offset_s: i64,
    /// Another quota per app and tenant than the one at the start.
    pub quota: Option<Limit>,
    /// Another kind of window than the one at the start.
    pub window: Option<WindowKind>,
    /// The form in which throttled clients are told how long to wait.
    pub retry_after_form: RetryAfterForm,
    /// The form of the body of every error.
    pub error_body: BodyForm,
    /// Answer 204 instead of 200 where there is no body.
    pub no_content: bool,
    /// Spell presence values `available` instead of `Available` in reads.
    pub lower_camel: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            error_rate: 0.0,
            statuses: vec![500, 502, 503, 504],
            unauthorized_rate: 0.0,
            lost_rate: 0.0,
            reset_rate: 0.0,
            travel_ms: LatencySpan::default(),
            latency_ms: LatencySpan::default(),
            hang: false,
            outage: None,
            throttle: None,
            tenants: BTreeMap::new(),
            apps: BTreeMap::new(),
            users: BTreeMap::new(),
            directory: DirectoryFaults::default(),
            withheld_permissions: Vec::new(),
            token: None,
            identity: Vec::new(),
            secret: None,
            refresh_in_s: None,
            clock_offset_s: 0,
            quota: None,
            window: None,
            retry_after_form: RetryAfterForm::default(),
            error_body: BodyForm::default(),
            no_content: false,
            lower_camel: false,
        }
    }
}

/// A shortest and a longest time, in milliseconds; chance picks between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencySpan {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

/// One scripted answer in place of the service's own. The request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trouble {
    /// HTTP status, 200 to 599. A 200 is an answer without effect.
    pub status: u16,
    /// The Retry-After header, as it goes out.
    pub retry_after: Option<String>,
    /// The form of the body; absent: that of all errors.
    pub body: Option<BodyForm>,
    /// No answer at all, until the trouble is taken away.
    pub hang: bool,
    /// The connection is closed instead of an answer.
    pub reset: bool,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { status: 503, retry_after: None, body: None, hang: false, reset: false }
    }
}

impl Trouble {
    /// The trouble that is a status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// 429 by script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// The Retry-After header, as it goes out; none when absent.
    pub retry_after: Option<String>,
}

/// The shape of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyForm {
    /// Graph's own for the status: its error envelope, or nothing below 400.
    #[default]
    Envelope,
    /// Nothing.
    Empty,
    /// A gateway's page.
    Html,
    /// JSON that breaks off, in an answer that is whole.
    BrokenJson,
    /// An answer that breaks off: fewer bytes than announced, then the end of the connection.
    Truncated,
    /// One gibibyte, sent as long as someone reads it.
    Enormous,
}

/// What chance has in store for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Healthy,
    /// This status, and nothing is done.
    Fails(u16),
    /// Done, and the answer is lost.
    Lost,
    /// Not done, and the connection is closed.
    Reset,
}

impl Faults {
    /// Applies a merge patch. `revoke_tokens` and the like, orders rather than states, are not part of it.
    ///
    /// # Errors
    /// Says in a sentence what is wrong; nothing has changed then.
    pub fn patched(&self, patch: Value) -> Result<Self, String> {
        if !patch.is_object() {
            return Err("a patch is an object".to_owned());
        }
        // Serde would read a list as an object, field by field.
        if let Some(name) = misplaced_list(&patch) {
            return Err(format!("{name} is no list"));
        }
        let mut document = serde_json::to_value(self).map_err(|error| error.to_string())?;
        merge(&mut document, patch);
        let faults: Self = serde_json::from_value(document).map_err(|error| error.to_string())?;
        faults.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let troubles = self.outage.iter().chain(self.tenants.values()).chain(self.directory.troubles());
        let troubles = troubles.chain(self.apps.values()).chain(self.users.values());
        let scripted = troubles.map(|trouble| trouble.status).chain(self.token.iter().map(|t| t.status));
        let scripted = scripted.chain(self.identity.iter().map(|trouble| trouble.status));
        let rates = [&self, &self.of_reads()]
            .map(|faults| [faults.error_rate, faults.unauthorized_rate, faults.lost_rate, faults.reset_rate]);
        let good = |rates: &[f64; 4]| {
            rates.iter().all(|rate| (0.0..=1.0).contains(rate)) && rates.iter().sum::<f64>() <= 1.0
        };
        if !rates.iter().all(good) {
            return Err("a rate is from 0 to 1, and so is the sum of all".to_owned());
        }
        if let Some(status) =
            self.statuses.iter().copied().chain(scripted).find(|status| !(200..600).contains(status))
        {
            return Err(format!("{status} is no status from 200 to 599"));
        }
        if self.statuses.is_empty() && rates.iter().any(|rates| rates[0] > 0.0) {
            return Err("error_rate without statuses".to_owned());
        }
        if self.quota.is_some_and(|quota| quota.requests == 0 || quota.per_s == 0) {
            return Err("a quota is of one request or more, in one second or more".to_owned());
        }
        if self.directory.quota.is_some_and(|quota| quota.units == 0 || quota.per_s == 0) {
            return Err("a quota is of one unit or more, in one second or more".to_owned());
        }
        Ok(self)
    }

    /// What chance has in store for request `number`.
    #[must_use]
    pub fn fate(&self, number: u64) -> Fate {
        let draw = chance::unit(self.seed, Purpose::Fault, number);
        let mut below = self.error_rate;
        if draw < below {
            let pick = chance::unit(self.seed, Purpose::Status, number);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a draw from [0, 1) times a length is an index"
            )]
            let index = (pick * self.statuses.len() as f64) as usize;
            return Fate::Fails(self.statuses.get(index).copied().unwrap_or(500));
        }
        below += self.unauthorized_rate;
        if draw < below {
            return Fate::Fails(401);
        }
        below += self.lost_rate;
        if draw < below {
            return Fate::Lost;
        }
        if draw < below + self.reset_rate { Fate::Reset } else { Fate::Healthy }
    }

    /// How long the answer to request `number` takes.
    #[must_use]
    pub fn latency(&self, number: u64) -> Duration {
        self.draw(self.latency_ms, Purpose::Latency, number)
    }

    /// How long the request that is the `number`th to leave is on its way.
    #[must_use]
    pub fn travel(&self, number: u64) -> Duration {
        self.draw(self.travel_ms, Purpose::Travel, number)
    }

    fn draw(&self, LatencySpan { min, max }: LatencySpan, purpose: Purpose, number: u64) -> Duration {
        chance::between(self.seed, purpose, number, Duration::from_millis(min), Duration::from_millis(max))
    }

    /// Whether no request of this app in this tenant can succeed, by script.
    #[must_use]
    pub fn stops(&self, tenant: Uuid, client: Uuid) -> bool {
        self.hang
            || self.outage.is_some()
            || self.throttle.is_some()
            || self.token.as_ref().is_some_and(|trouble| trouble.is_for(tenant, client))
            || self.tenants.contains_key(&tenant)
            || self.apps.contains_key(&client)
    }
}

/// The name of what holds a list and must not.
fn misplaced_list(patch: &Value) -> Option<&str> {
    patch.as_object()?.iter().find_map(|(name, value)| match (name.as_str(), value) {
        ("statuses" | "withheld_permissions", Value::Array(_)) => None,
        ("identity", Value::Array(troubles)) => {
            (!troubles.iter().all(Value::is_object)).then_some("a trouble")
        }
        (name, Value::Array(_)) => Some(name),
        (_, value) => misplaced_list(value),
    })
}

/// RFC 7396: objects are merged, `null` takes away, everything else replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

    #[test]
    fn a_patch_adds_changes_and_takes_away() {
        let faults = Faults::default();
        let faults = faults.patched(json!({"error_rate": 0.5, "users": {USER: {"status": 404}}})).unwrap();
        assert_eq!(faults.users[&USER.parse().unwrap()], Trouble::status(404));
        let faults = faults.patched(json!({"users": {USER: {"hang": true}}, "error_rate": null})).unwrap();
        assert!(faults.users[&USER.parse().unwrap()].hang);
        assert_eq!(faults.users[&USER.parse().unwrap()].status, 404, "what is not named stays");
        assert_eq!(faults.error_rate, 0.0);
        assert_eq!(faults.patched(json!({"users": {USER: null}})).unwrap(), Faults::default());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |patch: Value| Faults::default().patched(patch).unwrap_err();
        assert!(refused(json!({"eror_rate": 0.1})).contains("eror_rate"));
        assert!(refused(json!({"error_rate": 1.5})).contains("rate"));
        assert!(refused(json!({"error_rate": 0.6, "lost_rate": 0.6})).contains("sum"));
        assert!(refused(json!({"outage": {"status": 99}})).contains("99"));
        assert!(refused(json!({"users": {"reception": {}}})).contains("UUID"));
        assert!(refused(json!({"quota": {"requests": 0, "per_s": 30}})).contains("quota"));
        assert!(refused(json!({"error_rate": 0.1, "statuses": []})).contains("statuses"));
        assert!(refused(json!({"directory": {"lost_rate": 0.9, "reset_rate": 0.2}})).contains("sum"));
        assert!(refused(json!({"directory": {"next_pages": {"status": 42}}})).contains("42"));
        for patch in [json!(17), json!(null), json!([]), json!([7])] {
            assert_eq!(refused(patch), "a patch is an object");
        }
        assert_eq!(refused(json!({"latency_ms": [1, 2]})), "latency_ms is no list");
        assert_eq!(refused(json!({"identity": [[404, 1, null]]})), "a trouble is no list");
        assert!(refused(json!({"identity": [{"status": 40}]})).contains("40"));
        assert_eq!(refused(json!({"users": {USER: [404]}})), format!("{USER} is no list"));
    }

    #[test]
    fn the_same_seed_has_the_same_faults_at_the_rates_asked_for() {
        let patch = json!({"error_rate": 0.1, "unauthorized_rate": 0.1, "lost_rate": 0.1, "reset_rate": 0.1,
            "statuses": [500, 503], "latency_ms": {"min": 100, "max": 200}});
        let faults = Faults::default().patched(patch).unwrap();
        let fates: Vec<Fate> = (0..10_000).map(|number| faults.fate(number)).collect();
        let again: Vec<Fate> = (0..10_000).map(|number| faults.fate(number)).collect();
        assert_eq!(fates, again);
        let share = |fate: Fate| fates.iter().filter(|drawn| **drawn == fate).count();
        for (fate, about) in [
            (Fate::Fails(500), 500),
            (Fate::Fails(503), 500),
            (Fate::Fails(401), 1_000),
            (Fate::Lost, 1_000),
            (Fate::Reset, 1_000),
            (Fate::Healthy, 6_000),
        ] {
            assert!(share(fate).abs_diff(about) < 150, "{fate:?}: {} of about {about}", share(fate));
        }
        let other = Faults { seed: 2, ..faults.clone() };
        assert_ne!(fates, (0..10_000).map(|number| other.fate(number)).collect::<Vec<_>>());
        let latencies: Vec<Duration> = (0..1_000).map(|number| faults.latency(number)).collect();
        let within = Duration::from_millis(100)..=Duration::from_millis(200);
        assert!(latencies.iter().all(|latency| within.contains(latency)));
        assert_ne!(latencies[0], latencies[1]);
    }
}
