//! How the daemon and its sessions stand, in the words of the control API: renderings of figures and views.

use std::time::{Duration, SystemTime};

use super::people::Names;
use super::schedules::{self, Scheduled};
use super::wire;
use crate::daemon::driver::Looked;
use crate::daemon::figures::{Figures, Released, Stage};
use crate::daemon::overrides::{Override, Release, Source, Whom};
use crate::daemon::story::{LastAnswer, Moment, What};
use crate::daemon::token::expiry::End;
use crate::daemon::wall;
use crate::keeper::snapshot::{Next, Standing};
use crate::keeper::{LaneSnapshot, MonoTime, Outcome, Phase, PresenceState, SessionView};

/// What counts as today.
const DAY: Duration = Duration::from_secs(86_400);

/// How the daemon stands, without its worst sessions.
pub(in crate::daemon) fn of(figures: &Figures) -> wire::Status {
    let mut apps: Vec<wire::App> = figures.snapshot.lanes.iter().map(|lane| app(lane, figures)).collect();
    apps.sort_by(|one, other| one.app.cmp(&other.app));
    wire::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: wall::text(figures.started),
        at: wall::text(figures.wall),
        stage: stage(figures.stage).to_owned(),
        config: figures.config.to_string(),
        config_trouble: figures.trouble.note(),
        last_reload: figures
            .last_reload
            .as_ref()
            .map(|reload| wire::LastReload { at: wall::text(reload.at), refused: reload.refused.clone() }),
        sessions: sum(&apps),
        overrides: figures.overrides,
        released: figures.released.map(|released| match released {
            Released::All => wire::Released::All,
            Released::Users(users) => wire::Released::Users(users),
        }),
        apps,
        worst: Vec::new(),
    }
}

/// Of one app only.
pub(super) fn only(status: &mut wire::Status, app: &str) {
    status.apps.retain(|of| of.app == app);
    status.sessions = sum(&status.apps);
}

/// Without what is about all apps.
pub(super) fn without_others(status: &mut wire::Status) {
    (status.overrides, status.released, status.config_trouble, status.last_reload) = (0, None, None, None);
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting => "starting",
        Stage::Running => "running",
        Stage::Reloading => "reloading",
        Stage::Stopping => "stopping",
    }
}

fn sum(apps: &[wire::App]) -> wire::Counts {
    let mut sum = wire::Counts::default();
    for wire::App { sessions: of, .. } in apps {
        sum.wanted += of.wanted;
        sum.held += of.held;
        sum.late += of.late;
        sum.lapsed += of.lapsed;
        sum.pending += of.pending;
        sum.parked += of.parked;
        sum.unfunded += of.unfunded;
        sum.clearing += of.clearing;
    }
    sum
}

fn app(lane: &LaneSnapshot, figures: &Figures) -> wire::App {
    let (standing, closed_for) = match lane.standing {
        Standing::Open => ("open", None),
        Standing::Closed(until) => ("closed", Some(until.since(figures.at))),
        Standing::Probing => ("probing", None),
        Standing::Parked => ("parked", None),
        Standing::NoToken => ("no_token", None),
    };
    wire::App {
        app: lane.name.to_string(),
        tenant: lane.key.tenant.to_string(),
        client_id: lane.key.client.to_string(),
        standing: standing.to_owned(),
        closed_for_s: closed_for.map(seconds),
        sessions: wire::Counts {
            wanted: lane.sessions,
            held: lane.held,
            late: lane.late,
            lapsed: lane.lapsed,
            pending: lane.pending,
            parked: lane.parked,
            unfunded: lane.unfunded,
            clearing: lane.clearing,
        },
        in_flight: lane.in_flight,
        quota_used: lane.quota_used,
        quota: lane.quota,
        period_fraction: round(lane.fraction),
        next_lapse_in_s: lane.next_lapse_in.map(seconds),
        token_good_for_s: lane.token_good_for.map(seconds),
        credential_ends: figures.ends.get(&lane.key).map(End::to_string),
        renewals: lane.renewals,
        throttled: lane.throttled,
        token_rejected: lane.token_rejected,
        refused: lane.refused,
        lost: lane.lost,
        lapses: lane.lapses,
    }
}

/// A session in short; one that is not there stands nowhere.
pub(in crate::daemon) fn brief(looked: &Looked, names: &Names) -> wire::Brief {
    in_short(looked, schedules::of(looked, names).as_ref(), names)
}

fn in_short(looked: &Looked, scheduled: Option<&Scheduled<'_>>, names: &Names) -> wire::Brief {
    let because = match (&looked.release, &looked.holds) {
        (Some(_), _) => "released".to_owned(),
        (None, Some(source)) => format!("override:{source}"),
        (None, None) => match scheduled.and_then(|scheduled| scheduled.by) {
            Some(named) => format!("schedule:{}", named.name),
            None => "config".to_owned(),
        },
    };
    let view = looked.view.as_ref();
    let lapses_at = view.and_then(|view| view.lapses_at);
    wire::Brief {
        user: looked.whom.user.to_string(),
        name: names.name(looked.whom.user).map(str::to_owned),
        app: names.app(&looked.whom),
        state: view.map_or("none", |view| phase(view.phase)).to_owned(),
        wanted: shown(view.and_then(|view| view.wish).map(|wish| wish.state)),
        granted: view.and_then(|view| view.granted).map(|state| state.to_string()),
        because,
        lapses_in_s: lapses_at.map(|at| signed(at, looked.at)),
        reason: view.and_then(|view| reason(view, looked)),
    }
}

/// What is wrong with a session; `None`: nothing is.
fn reason(view: &SessionView, looked: &Looked) -> Option<String> {
    let answer = looked.last.as_ref().map(|last| {
        let cause = last.cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("{}{cause}", outcome(last.outcome))
    });
    let after = |what: &str| match &answer {
        Some(answer) => format!("{what}; last answer: {answer}"),
        None => what.to_owned(),
    };
    match view.phase {
        Phase::Held if view.lost > 0 => Some(after("waits for a repeat")),
        Phase::Held | Phase::Empty => None,
        Phase::Pending => Some(after("not set yet")),
        Phase::Lapsed => Some(after("lapsed")),
        Phase::Parked(refusal) => Some(after(&format!("refused by Graph, status {}", refusal.status()))),
        Phase::Unfunded => Some("beyond the quota: `presenced plan` says what helps".to_owned()),
        Phase::Clearing => Some(after("to be cleared")),
    }
}

/// How many of these stand how.
pub(super) fn counted(briefs: &[wire::Brief]) -> wire::Counts {
    let mut counts = wire::Counts::default();
    for brief in briefs {
        counts.wanted += u32::from(brief.wanted != "none");
        counts.late += u32::from(brief.state == "held" && brief.reason.is_some());
        match brief.state.as_str() {
            "held" => counts.held += 1,
            "lapsed" => counts.lapsed += 1,
            "pending" => counts.pending += 1,
            "parked" => counts.parked += 1,
            "unfunded" => counts.unfunded += 1,
            "clearing" => counts.clearing += 1,
            _ => {}
        }
    }
    counts
}

/// A session in full.
pub(in crate::daemon) fn session(looked: &Looked, names: &Names) -> wire::Session {
    let view = looked.view.as_ref();
    let (next, next_at) = view.map_or(("nothing", None), |view| next(view.next));
    let ago = |at: MonoTime| looked.wall.checked_sub(looked.at.since(at));
    let last_answer =
        looked.last.as_ref().map(|LastAnswer { at, outcome: came, cause, request_id }| wire::LastAnswer {
            at: wall::text(*at),
            outcome: outcome(*came).to_owned(),
            cause: cause.as_deref().map(str::to_owned),
            request_id: request_id.map(|id| id.to_string()),
        });
    let mut overrides: Vec<wire::Override> =
        looked.overrides.iter().map(|(source, over)| over_of(looked, source, over, names)).collect();
    overrides.sort_by_key(|over| !over.holds);
    let scheduled = schedules::of(looked, names);
    let groups = names.settings().groups_of(&looked.whom.lane, looked.whom.user);
    wire::Session {
        brief: in_short(looked, scheduled.as_ref(), names),
        planned: shown(view.and_then(|view| view.planned).map(|wish| wish.state)),
        schedule: scheduled.and_then(|of| of.by).map(|named| named.name.to_string()),
        until: scheduled.and_then(|of| of.until).map(|until| until.to_string()),
        then: scheduled.and_then(|of| of.then()),
        groups: groups.map(str::to_owned).collect(),
        expiration: view.and_then(|view| view.wish).map(|wish| wish.expiration.to_string()),
        expires_in_s: view.and_then(|view| view.expires_at).map(|at| signed(at, looked.at)),
        sent: view.and_then(|view| view.sent_at).and_then(ago).map(wall::text),
        next: next.to_owned(),
        next_in_s: next_at.map(|at| seconds(at.since(looked.at))),
        renewals: view.map_or(0, |view| view.renewals),
        overrides,
        released: looked.release.as_ref().map(|release| release_of(None, release)),
        last_answer,
        today: today(looked),
    }
}

fn over_of(looked: &Looked, source: &Source, over: &Override, names: &Names) -> wire::Override {
    let holds = looked.release.is_none() && looked.holds.as_ref() == Some(source);
    override_of(&looked.whom, source, over, holds, looked.wall, names)
}

/// An override.
pub(in crate::daemon) fn override_of(
    whom: &Whom,
    source: &Source,
    over: &Override,
    holds: bool,
    wall: SystemTime,
    names: &Names,
) -> wire::Override {
    wire::Override {
        user: whom.user.to_string(),
        name: names.name(whom.user).map(str::to_owned),
        app: names.app(whom),
        source: source.to_string(),
        wanted: shown(over.state),
        ends_at: wall::text(over.ends_wall),
        ends_in_s: seconds(over.ends_wall.duration_since(wall).unwrap_or_default()),
        priority: over.priority,
        by: over.by.to_string(),
        reason: over.reason.as_deref().map(str::to_owned),
        since: wall::text(over.since),
        holds,
    }
}

/// A release; without `user`, of the user that is spoken of, or of everyone.
pub(super) fn release_of(user: Option<String>, release: &Release) -> wire::Release {
    wire::Release {
        user,
        by: release.by.to_string(),
        reason: release.reason.as_deref().map(str::to_owned),
        since: wall::text(release.since),
    }
}

/// What a session showed in the last 24 hours: what it showed when they began, and each change since.
fn today(looked: &Looked) -> Vec<wire::Moment> {
    let wall = |at: MonoTime| looked.wall.checked_sub(looked.at.since(at));
    let old = looked.story.iter().rposition(|moment| looked.at.since(moment.at) > DAY).unwrap_or(0);
    let since = &looked.story[old.min(looked.story.len())..];
    since.iter().filter_map(|moment| Some(moment_of(moment, wall(moment.at)?))).collect()
}

/// What a session showed from a moment on.
fn moment_of(moment: &Moment, at: SystemTime) -> wire::Moment {
    let (state, shows, overridden) = match moment.what {
        What::Held { state, overridden } => ("held", Some(state.to_string()), overridden),
        What::Late { state, overridden } => ("late", Some(state.to_string()), overridden),
        What::Lapsed => ("lapsed", None, false),
        What::Parked => ("parked", None, false),
        What::Empty => ("none", None, false),
        What::Released => ("released", None, false),
    };
    wire::Moment { at: wall::text(at), state: state.to_owned(), shows, overridden }
}

/// A state in Graph's words, or `none`.
pub(super) fn shown(state: Option<PresenceState>) -> String {
    state.map_or_else(|| "none".to_owned(), |state| state.to_string())
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Held => "held",
        Phase::Pending => "pending",
        Phase::Lapsed => "lapsed",
        Phase::Parked(_) => "parked",
        Phase::Unfunded => "unfunded",
        Phase::Clearing => "clearing",
        Phase::Empty => "none",
    }
}

const fn next(next: Next) -> (&'static str, Option<MonoTime>) {
    match next {
        Next::Answer => ("answer", None),
        Next::Turn => ("turn", None),
        Next::Renewal(at) => ("renewal", Some(at)),
        Next::Retry(at) => ("retry", Some(at)),
        Next::Trial(at) => ("trial", Some(at)),
        Next::Nothing => ("nothing", None),
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "granted",
        Outcome::Throttled { .. } => "throttled",
        Outcome::TokenRejected => "token_rejected",
        Outcome::Refused(_) => "refused",
        Outcome::Lost { .. } => "lost",
    }
}

/// Seconds to a moment; below zero when it is past.
fn signed(at: MonoTime, now: MonoTime) -> f64 {
    if at >= now { seconds(at.since(now)) } else { -seconds(now.since(at)) }
}

fn seconds(span: Duration) -> f64 {
    round(span.as_secs_f64())
}

/// To milliseconds.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
