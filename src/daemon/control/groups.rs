//! Groups: looking at their members, and steering all of them by one request.
//!
//! Members are gone through some at a time, so that renewals go on in between. What could not be done of one is told, and
//! holds up no other.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};

use super::caller::Caller;
use super::overrides::{Body, holding, in_time, reason, state, ttl, unreadable};
use super::problem::Problem;
use super::sessions::Query;
use super::{Desk, status, wire};
use crate::daemon::driver::{Command, Steer, Steered};
use crate::daemon::overrides::{Full, Source, Whom};
use crate::daemon::wall;
use crate::keeper::id::{LaneKey, UserId};

/// Members that the driver goes through at a time.
const STEP: usize = 256;
/// Members that are listed.
const LISTED: usize = 10_000;

/// A group of the config, as it is when it is asked for.
struct Addressed {
    name: Arc<str>,
    app: String,
    lane: LaneKey,
    members: Arc<[UserId]>,
}

impl Addressed {
    async fn find(desk: &Desk, caller: &Caller, word: String, uri: &Uri) -> Result<Self, Problem> {
        let app = Query::of(uri, &["app"])?.get("app");
        let of = caller.apps.clone();
        let found = desk.find(move |names| {
            names.group(&word, app.as_deref(), &of).map(|(group, app)| Self {
                name: Arc::clone(&group.name),
                app: app.to_owned(),
                lane: group.lane.clone(),
                members: Arc::clone(&group.members),
            })
        });
        Ok(found.await?.0)
    }

    fn whom(&self, members: &[UserId]) -> Vec<Whom> {
        members.iter().map(|user| Whom { lane: self.lane.clone(), user: *user }).collect()
    }
}

/// `GET /v1/groups/{group}`
pub(super) async fn group(
    State(desk): State<Desk>,
    caller: Caller,
    Path(word): Path<String>,
    uri: Uri,
) -> Result<Json<wire::Group>, Problem> {
    caller.may_read()?;
    let group = Addressed::find(&desk, &caller, word, &uri).await?;
    let names = desk.names().await;
    let listed = &group.members[..group.members.len().min(LISTED)];
    let mut members = Vec::with_capacity(listed.len());
    for some in listed.chunks(STEP) {
        let whom = group.whom(some);
        let looked = desk.ask(|to| Command::Look { whom, to }).await?;
        members.extend(looked.iter().map(|looked| status::brief(looked, &names)));
    }
    Ok(Json(wire::Group {
        group: group.name.to_string(),
        app: group.app,
        of: group.members.len(),
        sessions: status::counted(&members),
        members,
    }))
}

/// `PUT /v1/groups/{group}/overrides/{source}`
pub(super) async fn put(
    State(desk): State<Desk>,
    caller: Caller,
    Path((word, source)): Path<(String, String)>,
    uri: Uri,
    body: Body<wire::PutOverride>,
) -> Result<Json<wire::GroupResult>, Problem> {
    let source = named(&caller, &source)?;
    let group = Addressed::find(&desk, &caller, word, &uri).await?;
    let Json(ask) = body.map_err(|error| unreadable(&error))?;
    let (state, ttl) = (state(&ask.availability, ask.activity.as_deref())?, ttl(ask.ttl.as_ref())?);
    let reason = reason(ask.reason.as_deref())?;
    let steer = |whom| Steer::Put {
        whom,
        source: source.clone(),
        state,
        ttl,
        priority: ask.priority,
        reason: reason.clone(),
    };
    let ends = desk.clock.wall() + ttl;
    let mut result = all(&desk, &caller, &group, steer).await?;
    result.wanted = Some(status::shown(state));
    result.ends_at = Some(wall::text(ends));
    Ok(Json(result))
}

/// `DELETE /v1/groups/{group}/overrides/{source}`
pub(super) async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Path((word, source)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<wire::GroupResult>, Problem> {
    let source = named(&caller, &source)?;
    let group = Addressed::find(&desk, &caller, word, &uri).await?;
    let steer = |whom| Steer::Remove { whom, source: source.clone(), reason: None };
    all(&desk, &caller, &group, steer).await.map(Json)
}

/// `POST /v1/groups/{group}/release`
pub(super) async fn release(
    State(desk): State<Desk>,
    caller: Caller,
    Path(word): Path<String>,
    uri: Uri,
    body: Body<wire::GroupAsk>,
) -> Result<Json<wire::GroupResult>, Problem> {
    caller.may_operate()?;
    let group = Addressed::find(&desk, &caller, word, &uri).await?;
    let Json(ask) = body.map_err(|error| unreadable(&error))?;
    let reason = reason(ask.reason.as_deref())?;
    let steer = |whom| Steer::Release { whom: Some(whom), reason: reason.clone() };
    all(&desk, &caller, &group, steer).await.map(Json)
}

/// `POST /v1/groups/{group}/resume`
pub(super) async fn resume(
    State(desk): State<Desk>,
    caller: Caller,
    Path(word): Path<String>,
    uri: Uri,
    body: Body<wire::GroupAsk>,
) -> Result<Json<wire::GroupResult>, Problem> {
    caller.may_operate()?;
    let group = Addressed::find(&desk, &caller, word, &uri).await?;
    let Json(ask) = body.map_err(|error| unreadable(&error))?;
    let reason = reason(ask.reason.as_deref())?;
    let steer = |whom| Steer::Resume { whom: Some(whom), reason: reason.clone() };
    all(&desk, &caller, &group, steer).await.map(Json)
}

/// The source of a request, if whoever asks may change it of anyone.
fn named(caller: &Caller, source: &str) -> Result<Source, Problem> {
    let source = super::overrides::source(source)?;
    caller.may_override(&source)?;
    Ok(source)
}

/// Steers every member.
async fn all(
    desk: &Desk,
    caller: &Caller,
    group: &Addressed,
    steer: impl Fn(Whom) -> Steer,
) -> Result<wire::GroupResult, Problem> {
    let mut result = wire::GroupResult {
        group: group.name.to_string(),
        app: group.app.clone(),
        members: group.members.len(),
        ..wire::GroupResult::default()
    };
    let mut done = 0;
    for some in group.members.chunks(STEP) {
        let what = group.whom(some).into_iter().map(&steer).collect();
        let (by, of) = (Arc::clone(&caller.name), Arc::clone(&group.name));
        let steered = desk.ask(|to| Command::SteerGroup { what, group: of, by, to }).await;
        let steered = steered.map_err(|problem| problem.after(done, group.members.len()))?;
        for one in steered {
            note(&mut result, one).await;
        }
        done += some.len();
    }
    match &result.failure {
        Some(failure) if result.failed == result.members => {
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", failure.clone()))
        }
        _ => Ok(result),
    }
}

async fn note(result: &mut wire::GroupResult, steered: Result<Steered, Full>) {
    match steered {
        Ok(Steered { changed, holds, kept, .. }) => {
            result.changed += usize::from(changed);
            *result.holds.entry(holding(holds)).or_default() += 1;
            // A disk that is too slow for one is not waited for with each of thousands.
            let kept = if result.kept == Some(false) { kept.map(|_| false) } else { in_time(kept).await };
            if let Some(kept) = kept {
                result.kept = Some(kept && result.kept != Some(false));
            }
        }
        Err(full) => {
            result.failed += 1;
            result.failure.get_or_insert_with(|| full.to_string());
        }
    }
}
