//! What the daemon says of itself.

use std::time::Duration;

use jiff::civil::Date;

use super::line::line;
use super::people::People;
use super::stderr;
use crate::config::settings::ConfigHash;
use crate::daemon::graph::Detail;
use crate::daemon::outlook::{Crowded, Outlook};
use crate::daemon::signals::Origin;
use crate::daemon::token::expiry::{End, Notice};
use crate::keeper::diff::Counts;
use crate::keeper::plan::HeldRemovals;

/// How a removal that waits is accepted.
const ACCEPT: &str = "if they are meant, raise [daemon] max_removed, e.g. to \"100%\", and reload";

/// A plan is in force.
#[derive(Debug)]
pub struct InForce {
    /// The config it comes from.
    pub config: ConfigHash,
    /// What it comes to.
    pub outlook: Outlook,
    /// What it changes.
    pub counts: Counts,
    /// From the prompt until then.
    pub took: Duration,
}

/// Who asked for a reload.
#[derive(Clone, Copy, Default, Debug)]
pub struct AskedBy<'a> {
    /// The process, where that is known.
    pub process: Option<Origin>,
    /// What it is called otherwise: `watch`, `token pbx`.
    pub name: Option<&'a str>,
}

/// The first plan is in force. `restored` sessions come from the ledger.
pub fn started(plan: &InForce, restored: usize) {
    line!(
        INFO,
        "started",
        version = env!("CARGO_PKG_VERSION"),
        config = plan.config.to_string(),
        sessions = plan.outlook.sessions,
        restored = restored,
        added = plan.counts.added,
        removed = plan.counts.removed,
        changed = plan.counts.changed,
        sets_done_in_s = worth_telling(plan.outlook.sets_take),
        took_ms = millis(plan.took),
    );
}

/// The file was taken.
pub fn reloaded(plan: &InForce, previous: ConfigHash, warnings: usize, by: AskedBy<'_>) {
    line!(
        INFO,
        "reloaded",
        config = plan.config.to_string(),
        previous = previous.to_string(),
        sessions = plan.outlook.sessions,
        added = plan.counts.added,
        removed = plan.counts.removed,
        changed = plan.counts.changed,
        sets_done_in_s = worth_telling(plan.outlook.sets_take),
        warnings = (warnings > 0).then_some(warnings),
        took_ms = millis(plan.took),
        by = by.name,
        by_pid = by.process.map(|by| by.pid),
        by_uid = by.process.map(|by| by.uid),
    );
}

/// What is done within a few seconds is done at once.
fn worth_telling(takes: Duration) -> Option<u64> {
    Some(takes.as_secs()).filter(|secs| *secs >= 5)
}

/// The file says what it said before.
pub fn reload_unchanged(config: ConfigHash, took: Duration, by: AskedBy<'_>) {
    line!(
        INFO,
        "reload_unchanged",
        config = config.to_string(),
        took_ms = millis(took),
        by = by.name,
        by_pid = by.process.map(|by| by.pid),
        by_uid = by.process.map(|by| by.uid),
    );
}

/// The file was not taken: for `problems` that `presenced check` shows, or, when there are none, for another reason.
pub fn reload_refused(kept: ConfigHash, problems: usize, first: &str, by: AskedBy<'_>) {
    line!(
        ERROR,
        "reload_refused",
        kept = kept.to_string(),
        problems = (problems > 0).then_some(problems),
        first = first,
        advice = if problems > 0 {
            "everything goes on as before; `presenced check` shows all problems"
        } else {
            "everything goes on as before"
        },
        by = by.name,
        by_pid = by.process.map(|by| by.pid),
        by_uid = by.process.map(|by| by.uid),
    );
}

/// Most sessions of a lane are gone from the file: they are kept for now.
pub fn removals_held(held: &HeldRemovals) {
    line!(WARN, "removals_held", app = &*held.name, removed = held.removed, of = held.of, advice = ACCEPT);
}

/// An app has more sessions than its quota keeps.
pub fn quota_exceeded(crowded: &Crowded, people: &People) {
    let first: Vec<String> = crowded.first.iter().map(|user| people.show(*user)).collect();
    line!(
        WARN,
        "quota_exceeded",
        app = &*crowded.app,
        sessions = crowded.sessions,
        left_out = crowded.left_out,
        first = first.join(" "),
        advice = "those left out are never set; `presenced plan` names all of them and says what helps",
    );
}

/// What the door lets pass, but an operator should know.
pub fn config_warnings(warnings: usize, first: &str) {
    line!(WARN, "config_warnings", warnings = warnings, first = first);
}

/// The file was refused at start, and an older one is in force.
pub fn running_on_last_good(config: ConfigHash, accepted: &str, problems: usize, first: &str) {
    line!(
        ERROR,
        "running_on_last_good",
        config = config.to_string(),
        accepted = accepted,
        problems = problems,
        first = first,
        advice = "mend the file and reload; `presenced check` shows all problems",
    );
}

/// The file was refused at start, and no older one can stand in for it.
pub fn start_refused(problems: usize, first: &str, why_not_last_good: &str) {
    line!(ERROR, "start_refused", problems = problems, first = first, last_good = why_not_last_good);
}

/// The daemon does not come up, for another reason than the config alone.
pub fn start_failed(error: &str) {
    line!(ERROR, "start_failed", error = error);
}

/// Someone asked for an early renewal of everything.
pub fn renew_all(by: Option<Origin>) {
    line!(INFO, "renew_all", by_pid = by.map(|by| by.pid), by_uid = by.map(|by| by.uid));
}

/// Someone asked to stop.
pub fn stopping(clear: bool, within: Duration, by: Option<Origin>) {
    line!(
        INFO,
        "stopping",
        on_stop = if clear { "clear" } else { "leave" },
        within_s = within,
        by_pid = by.map(|by| by.pid),
        by_uid = by.map(|by| by.uid),
    );
}

/// How it ended. `uncleared` are the first few users of those whose session could not be cleared in time.
pub fn stopped(took: Duration, unanswered: usize, left: usize, uncleared: &[String]) {
    let users = (!uncleared.is_empty()).then(|| uncleared.join(","));
    if left > 0 {
        line!(
            WARN,
            "stopped",
            took_ms = millis(took),
            unanswered = unanswered,
            uncleared = left,
            first = users,
            advice = "these sessions run out by themselves",
        );
    } else {
        line!(INFO, "stopped", took_ms = millis(took), unanswered = unanswered);
    }
}

/// One line a minute instead of one a renewal.
#[derive(Debug, Default)]
pub struct Summary<'a> {
    /// Sessions with a wish.
    pub sessions: u32,
    /// Those whose lease is in date.
    pub held: u32,
    /// Those close to their lapse, or past it.
    pub late: u32,
    /// Those past their lapse.
    pub lapsed: u32,
    /// Those that were never granted.
    pub pending: u32,
    /// Those that Graph refuses.
    pub parked: u32,
    /// Those that no quota can keep.
    pub unfunded: u32,
    /// Since the last summary.
    pub renewals: u64,
    /// Of the requests since then: 99 of 100 were answered faster.
    pub p99: Option<Duration>,
    /// Of the fullest lane, in percent.
    pub quota_used: f64,
    /// What an operator should not forget.
    pub note: Option<&'a str>,
}

/// Logs it.
pub fn summary(s: &Summary<'_>) {
    line!(
        INFO,
        "summary",
        sessions = s.sessions,
        held = s.held,
        late = s.late,
        lapsed = s.lapsed,
        pending = (s.pending > 0).then_some(s.pending),
        parked = s.parked,
        unfunded = (s.unfunded > 0).then_some(s.unfunded),
        renewals = s.renewals,
        p99_ms = s.p99.map(millis),
        quota_used = format!("{:.1}%", s.quota_used),
        note = s.note,
    );
    if let Some(lost) = stderr::lost() {
        line!(WARN, "lines_lost", lines = lost, advice = "see why nobody read standard error for a while");
    }
}

/// A credential is another than before.
pub fn credential_changed(app: &str) {
    line!(INFO, "credential_changed", app = app);
}

/// A look at a credential does not come back.
pub fn credential_hangs(app: &str) {
    line!(
        WARN,
        "credential_hangs",
        app = app,
        advice = "see whether the file system that the credential is on hangs: until it answers, a new credential is not \
                  noticed and no token can be fetched",
    );
}

/// The next refresh token of a user who signed in could not be written.
pub fn sign_in_not_kept(app: &str, error: &str) {
    line!(
        ERROR,
        "sign_in_not_kept",
        app = app,
        error = error,
        advice = "it is used from memory, and written as soon as that can be done; let the state directory be written to \
                  and have room: after a restart before that, the user may have to sign in again",
    );
}

/// It is on disk now.
pub fn sign_in_kept_again(app: &str) {
    line!(INFO, "sign_in_kept_again", app = app);
}

/// The end of a credential is near, or past.
pub fn credential_expiring(app: &str, end: End, notice: Notice) {
    let (kind, advice) = (end.ending.word(), end.ending.advice());
    let expires = end.to_string();
    if notice.is_urgent() {
        line!(
            ERROR,
            "credential_expiring",
            app = app,
            kind = kind,
            expires = expires,
            days_left = notice.days_left,
            advice = advice,
        );
    } else {
        line!(
            WARN,
            "credential_expiring",
            app = app,
            kind = kind,
            expires = expires,
            days_left = notice.days_left,
            advice = advice,
        );
    }
}

/// A secret is another, and its end in the config is not.
pub fn secret_expires_outdated(app: &str, date: Date) {
    line!(
        WARN,
        "secret_expires_outdated",
        app = app,
        secret_expires = date.to_string(),
        advice = "the secret is a new one: write its end into the app's secret_expires, and reload",
    );
}

/// Several requests in one do not work for an app, and nothing else is wrong.
pub fn batches_fail(app: &str, detail: Option<&Detail>) {
    line!(
        INFO,
        "batches_fail",
        app = app,
        status = detail.and_then(|detail| detail.status),
        code = detail.and_then(|detail| detail.code.as_deref()),
        detail = detail.and_then(|detail| detail.cause.as_deref().or(detail.message.as_deref())),
        request_id = detail.and_then(|detail| detail.request_id.as_deref()),
        advice =
            "each request goes out by itself, which costs some processor time; look for a gateway on the way",
    );
}

/// A lane of the ledger is in no config any more, and neither is its credential.
pub fn app_unknown(graph: &str, tenant: String, client: String) {
    line!(
        WARN,
        "app_unknown",
        graph = graph,
        tenant = tenant,
        client_id = client,
        advice = "its sessions cannot be cleared without a credential: they run out by themselves",
    );
}

/// Others can reach the daemon here.
pub fn listening(what: &str, at: &str) {
    line!(INFO, "listening", door = what, at = at);
}

/// Others cannot reach the daemon here: it is tried again.
pub fn listen_failed(what: &str, at: &str, error: &dyn std::error::Error) {
    line!(
        ERROR,
        "listen_failed",
        door = what,
        at = at,
        error = chain(error),
        advice = "sessions are kept all the same; it is tried again every few seconds",
    );
}

/// Whoever is called as long as all is well could not be: it is tried again.
pub fn ping_failed(host: &str, what: &str, advice: &str) {
    line!(WARN, "ping_failed", host = host, error = what, advice = advice);
}

/// They can be called again.
pub fn ping_works_again(host: &str) {
    line!(INFO, "ping_works_again", host = host);
}

/// A task of the daemon panicked; what it was to do counts as lost.
pub fn task_panicked(task: &str) {
    line!(ERROR, "task_panicked", task = task, advice = "this is a bug: please report the line before");
}

/// An error with its sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
