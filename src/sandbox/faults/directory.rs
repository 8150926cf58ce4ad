//! What goes wrong with reads of the directory alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Faults, LatencySpan, Throttle, Trouble};
use crate::sandbox::reads::Units;

/// The troubles of reads of the directory. A rate or a latency that is absent is that of all requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DirectoryFaults {
    /// Which part fails with one of the statuses of all requests.
    pub error_rate: Option<f64>,
    /// Which part gets 401 on a good token.
    pub unauthorized_rate: Option<f64>,
    /// Of which part the answer is lost.
    pub lost_rate: Option<f64>,
    /// Of which part the connection is closed.
    pub reset_rate: Option<f64>,
    /// How long answers take, in milliseconds of the service's clock.
    pub latency_ms: Option<LatencySpan>,
    /// Every read gets this.
    pub trouble: Option<Trouble>,
    /// Every read for a page after the first gets this.
    pub next_pages: Option<Trouble>,
    /// Every read that names this group gets this.
    pub groups: BTreeMap<Uuid, Trouble>,
    /// Every read gets 429.
    pub throttle: Option<Throttle>,
    /// Another quota per app and tenant than the one at the start.
    pub quota: Option<Units>,
    /// How many seconds a page's token is good for; absent: for ever.
    pub page_token_life_s: Option<u64>,
    /// The root that links to next pages have in place of the one that the client used.
    pub next_link_root: Option<String>,
    /// The last page has a link, too: to the first.
    pub endless: bool,
}

impl DirectoryFaults {
    /// All that has a status.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.trouble.iter().chain(&self.next_pages).chain(self.groups.values())
    }

    /// The trouble of a read that goes on behind a first page or not, of this group.
    #[must_use]
    pub fn of(&self, goes_on: bool, group: Option<Uuid>) -> Option<&Trouble> {
        let next_pages = self.next_pages.as_ref().filter(|_| goes_on);
        self.trouble.as_ref().or(next_pages).or_else(|| self.groups.get(&group?))
    }
}

impl Faults {
    /// The faults of all requests, with the rates and the latency of reads of the directory.
    #[must_use]
    pub(in crate::sandbox) fn of_reads(&self) -> Self {
        let DirectoryFaults { error_rate, unauthorized_rate, lost_rate, reset_rate, latency_ms, .. } =
            &self.directory;
        Self {
            error_rate: error_rate.unwrap_or(self.error_rate),
            unauthorized_rate: unauthorized_rate.unwrap_or(self.unauthorized_rate),
            lost_rate: lost_rate.unwrap_or(self.lost_rate),
            reset_rate: reset_rate.unwrap_or(self.reset_rate),
            latency_ms: latency_ms.unwrap_or(self.latency_ms),
            ..self.clone()
        }
    }
}
