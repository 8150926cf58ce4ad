//! The service's own account of what its clients did: the judge in tests, and what `/sandbox/report` shows.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::counts::{CallKind, Counts, Gap, Gaps, NAMED_GAPS, TokenCounts};
use super::directory::User;
use super::lane::LaneCounts;
use super::presence::{PreferredState, Shown};
use super::reads::{LaneReads, ReadReport};
use super::service::Service;
use super::service::calls::gap;
use super::session::{Phase, Session};
use crate::keeper::time::MonoTime;

/// How many requests of one user are shown.
const SHOWN_REQUESTS: usize = 100;

/// The whole account. Figures count since the start or the last reset, unless they say "now".
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Seconds of the service's clock since its start.
    pub virtual_seconds: f64,
    /// Sessions there are now, faded ones included.
    pub sessions: u64,
    /// The same by state as set; `Available` ones that have faded stand under `inactive` and `faded_away`.
    pub by_state: BTreeMap<&'static str, u64>,
    /// How often a session that was set and not cleared was seen wrong, those that are wrong now included: the
    /// figure that must stay zero.
    pub lapses: u64,
    /// How many of them had a scripted trouble of their lane between the last set and their end.
    pub lapses_in_outage: u64,
    /// How many more there were of users that a script refuses.
    pub lapses_excused: u64,
    /// How many more ended with the session being cleared.
    pub lapses_ended_by_clear: u64,
    /// How many of `lapses` are going on now.
    pub lapsed_now: u64,
    /// The longest of `lapses`, in seconds.
    pub longest_gap_s: f64,
    /// All of `lapses`, in seconds.
    pub total_gap_s: f64,
    /// The first of `lapses`, one by one.
    pub first_lapses: Vec<GapReport>,
    /// Presence requests.
    pub requests: RequestReport,
    /// Reads of the directory.
    pub directory: ReadReport,
    /// The most requests in any sliding window of one lane.
    pub peak_window: usize,
    /// The quota of each lane.
    pub quota: QuotaReport,
    /// Requests answered 429.
    pub throttled: u64,
    /// Sets that were carried out.
    pub sets: u64,
    /// Clears that ended a session.
    pub clears: u64,
    /// Clears that found none, and were answered 404.
    pub clears_without_session: u64,
    /// Requests that a correct client does not make.
    pub invalid_requests: u64,
    /// Token requests. `max_in_flight` is that of one lane.
    pub tokens: TokenCounts,
    /// Lane by lane, in the order in which they appeared.
    pub lanes: Vec<LaneReport>,
}

/// One time that a session was seen wrong.
#[derive(Clone, Debug, Serialize)]
pub struct GapReport {
    /// Whose session.
    pub user: Uuid,
    /// In which tenant.
    pub tenant: Uuid,
    /// Of which app.
    pub client: Uuid,
    /// Since when, in seconds since the start.
    pub from_s: f64,
    /// For how long, in seconds.
    pub for_s: f64,
    /// Whether a scripted trouble of the lane was in it.
    pub in_outage: bool,
}

/// Presence requests by call and outcome.
#[derive(Clone, Debug, Serialize)]
pub struct RequestReport {
    /// All, items of batches one by one.
    pub total: u64,
    /// By call, then by status or `lost`, `reset`, `hung`.
    pub by_call: BTreeMap<CallKind, BTreeMap<String, u64>>,
    /// By status or `lost`, `reset`, `hung`.
    pub by_outcome: BTreeMap<String, u64>,
    /// Batches as such; they are not in the total.
    pub batches: u64,
}

/// A quota.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QuotaReport {
    /// Requests.
    pub requests: u32,
    /// In so many seconds.
    pub per_s: u32,
}

/// One app in one tenant.
#[derive(Clone, Debug, Serialize)]
pub struct LaneReport {
    /// The tenant.
    pub tenant: Uuid,
    /// The app.
    pub client: Uuid,
    /// Sessions there are now.
    pub sessions: u64,
    /// How many of its sessions are seen wrong now, those of refused users included.
    pub lapsed_now: u64,
    /// Requests in the window that ends now.
    pub in_window: usize,
    /// The most requests in any sliding window.
    pub peak_window: usize,
    /// The most requests in any five minutes.
    pub peak_five_minutes: usize,
    /// Its reads of the directory.
    pub directory: LaneReads,
    /// What it did.
    #[serde(flatten)]
    pub counts: LaneCounts,
}

/// One user of one tenant.
#[derive(Clone, Debug, Serialize)]
pub struct UserReport {
    /// The object id.
    pub id: Uuid,
    /// The tenant.
    pub tenant: Uuid,
    /// What a reader is shown now.
    pub shown: Shown,
    /// Sets that were carried out, ever.
    pub sets: u32,
    /// Clears that ended a session, ever.
    pub clears: u32,
    /// The sessions of apps, those that have expired and were not cleared included.
    pub sessions: Vec<SessionReport>,
    /// The sessions of Teams clients.
    pub teams: Vec<Shown>,
    /// What the user prefers now.
    pub preferred: Option<Shown>,
    /// The last requests that named the user, in any tenant, the oldest first.
    pub requests: Vec<RequestLine>,
}

/// One app's session of one user. Times are in seconds since the start.
#[derive(Clone, Debug, Serialize)]
pub struct SessionReport {
    /// The app.
    pub client: Uuid,
    /// As set.
    pub state: Shown,
    /// What has become of it: `fresh`, `inactive`, `faded_away` or `expired`.
    pub phase: &'static str,
    /// When it was last set.
    pub set_at_s: f64,
    /// When it is seen wrong.
    pub lapses_at_s: f64,
    /// When it is gone.
    pub expires_at_s: f64,
}

/// One request that named a user.
#[derive(Clone, Debug, Serialize)]
pub struct RequestLine {
    /// When it arrived, in seconds since the start.
    pub at_s: f64,
    /// The call.
    pub call: CallKind,
    /// The state a set asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Shown>,
    /// The expiration a set asked for, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_s: Option<u64>,
    /// The status, or `lost`, `reset`, `hung`.
    pub outcome: String,
}

/// What a walk over all sessions finds.
#[derive(Default)]
struct Found {
    sessions: u64,
    by_state: BTreeMap<&'static str, u64>,
    per_lane: Vec<(u64, u64)>,
    open: Gaps,
}

impl Service {
    /// The account at `now`. It walks over all sessions.
    pub fn report(&mut self, now: MonoTime) -> Report {
        let found = self.walk(now);
        let quota = self.quota();
        let lanes: Vec<LaneReport> = self
            .lanes
            .iter_mut()
            .zip(&found.per_lane)
            .map(|(lane, found)| LaneReport {
                tenant: lane.tenant,
                client: lane.client,
                sessions: found.0,
                lapsed_now: found.1,
                in_window: lane.used(now, quota),
                peak_window: lane.peak(),
                peak_five_minutes: lane.peak_five_minutes(),
                directory: lane.reads.counts,
                counts: lane.counts,
            })
            .collect();
        let Counts { gaps, tokens, .. } = &self.counts;
        let named = gaps.first.iter().chain(&found.open.first).take(NAMED_GAPS);
        Report {
            virtual_seconds: self.seconds(now),
            sessions: found.sessions,
            by_state: found.by_state,
            lapses: gaps.lapses + found.open.lapses,
            lapses_in_outage: gaps.in_outage + found.open.in_outage,
            lapses_excused: gaps.excused + found.open.excused,
            lapses_ended_by_clear: gaps.ended_by_clear,
            lapsed_now: found.open.lapses,
            longest_gap_s: gaps.longest.max(found.open.longest).as_secs_f64(),
            total_gap_s: (gaps.total + found.open.total).as_secs_f64(),
            first_lapses: named.map(|gap| self.gap_report(gap)).collect(),
            requests: self.request_report(),
            directory: self.counts.reads.report(self.read_quota()),
            peak_window: lanes.iter().map(|lane| lane.peak_window).max().unwrap_or_default(),
            quota: QuotaReport { requests: quota.requests, per_s: quota.per_s },
            throttled: self.counts.throttled,
            sets: self.counts.sets,
            clears: self.counts.clears,
            clears_without_session: self.counts.clears_without_session,
            invalid_requests: self.counts.invalid,
            tokens: TokenCounts {
                in_flight: lanes.iter().map(|lane| lane.counts.tokens.in_flight).sum(),
                max_in_flight: lanes
                    .iter()
                    .map(|lane| lane.counts.tokens.max_in_flight)
                    .max()
                    .unwrap_or_default(),
                ..*tokens
            },
            lanes,
        }
    }

    /// One user, in each tenant where it was ever named.
    #[must_use]
    pub fn user_report(&self, now: MonoTime, id: Uuid) -> Vec<UserReport> {
        let users = self.directory.iter().filter(|user| user.id == id);
        users.map(|user| self.one_user(now, user)).collect()
    }

    /// Begins to count anew. Sessions stay as they are; those that have lapsed are not judged until they are set
    /// again. What is in the windows now is in them.
    pub fn reset_counts(&mut self, now: MonoTime) {
        self.counts = Counts::default();
        let quota = self.quota();
        self.lanes.iter_mut().for_each(|lane| lane.reset(now, quota));
        for session in self.directory.iter_mut().flat_map(|user| &mut user.sessions) {
            session.judged = session.gap(now).is_none() && session.judged;
        }
    }

    fn walk(&self, now: MonoTime) -> Found {
        let mut found = Found { per_lane: vec![(0, 0); self.lanes.len()], ..Found::default() };
        for (user, session) in
            self.directory.iter().flat_map(|user| user.sessions.iter().map(move |s| (user, s)))
        {
            let lane = session.lane as usize;
            let phase = session.phase(now);
            if phase != Phase::Expired {
                found.sessions += 1;
                found.per_lane[lane].0 += 1;
                *found.by_state.entry(state_word(session, phase)).or_default() += 1;
            }
            if let Some(gap) = gap(now, &self.lanes[lane], user.id, session) {
                found.per_lane[lane].1 += 1;
                found.open.add(gap);
            }
        }
        found
    }

    fn request_report(&self) -> RequestReport {
        let mut by_call: BTreeMap<CallKind, BTreeMap<String, u64>> = BTreeMap::new();
        let mut by_outcome: BTreeMap<String, u64> = BTreeMap::new();
        for ((kind, outcome), count) in &self.counts.by_call {
            by_call.entry(*kind).or_default().insert(outcome.word(), *count);
            *by_outcome.entry(outcome.word()).or_default() += count;
        }
        RequestReport { total: self.counts.requests, by_call, by_outcome, batches: self.counts.batches }
    }

    fn one_user(&self, now: MonoTime, user: &User) -> UserReport {
        let sessions = user.sessions.iter().map(|session| SessionReport {
            client: self.lanes[session.lane as usize].client,
            state: session.state.shown(),
            phase: phase_word(session.phase(now)),
            set_at_s: self.seconds(session.set_at),
            lapses_at_s: self.seconds(session.lapses_at()),
            expires_at_s: self.seconds(session.expires_at),
        });
        let lines = self.log.iter().rev().filter(|line| line.user == user.id).take(SHOWN_REQUESTS);
        let mut requests: Vec<RequestLine> = lines
            .map(|line| RequestLine {
                at_s: self.seconds(line.at),
                call: line.kind,
                asked: line.asked.map(|(state, _)| state.shown()),
                expiration_s: line.asked.map(|(_, expiration)| expiration.as_secs()),
                outcome: line.outcome.word(),
            })
            .collect();
        requests.reverse();
        UserReport {
            id: user.id,
            tenant: user.tenant,
            shown: user.shown(now),
            sets: user.sets,
            clears: user.clears,
            sessions: sessions.collect(),
            teams: user.own.as_ref().map(|own| own.clients.clone()).unwrap_or_default(),
            preferred: user.preferred(now).map(PreferredState::shown),
            requests,
        }
    }

    fn gap_report(&self, gap: &Gap) -> GapReport {
        GapReport {
            user: gap.user,
            tenant: gap.tenant,
            client: gap.client,
            from_s: self.seconds(gap.from),
            for_s: gap.length.as_secs_f64(),
            in_outage: gap.in_outage,
        }
    }

    fn seconds(&self, at: MonoTime) -> f64 {
        at.since(self.started).as_secs_f64()
    }
}

fn state_word(session: &Session, phase: Phase) -> &'static str {
    use super::presence::SessionState;
    match (phase, session.state) {
        (Phase::Inactive, _) => "inactive",
        (Phase::FadedAway, _) => "faded_away",
        (_, SessionState::Available) => "Available",
        (_, SessionState::InACall) => "InACall",
        (_, SessionState::InAConferenceCall) => "InAConferenceCall",
        (_, SessionState::Away) => "Away",
        (_, SessionState::Presenting) => "Presenting",
    }
}

const fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Fresh => "fresh",
        Phase::Inactive => "inactive",
        Phase::FadedAway => "faded_away",
        Phase::Expired => "expired",
    }
}
