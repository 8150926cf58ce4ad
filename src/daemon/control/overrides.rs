//! Steering: overrides, releases, reloads.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use jiff::{Span, SpanRelativeTo};
use tokio::sync::oneshot;

use super::caller::Caller;
use super::people::Names;
use super::problem::Problem;
use super::sessions::Query;
use super::{Desk, KEEPING, RELOAD_PATIENCE, status, wire};
use crate::daemon::driver::{self, Command, Held, Reloaded, Steer, Steered};
use crate::daemon::overrides::{Source, TTL, TTL_UNSAID, Whom};
use crate::keeper::PresenceState;

/// Longest reason, in characters.
const REASON_MAX: usize = 256;
/// Overrides and releases that are listed.
const LISTED: usize = 1_000;

pub(super) type Body<T> = Result<Json<T>, JsonRejection>;

/// `GET /v1/overrides`
pub(super) async fn list(State(desk): State<Desk>, caller: Caller) -> Result<Json<wire::Overrides>, Problem> {
    caller.reads(None)?;
    let names = desk.names().await;
    let page = desk.ask(|to| Command::Overrides { limit: LISTED, to }).await?;
    let wall = desk.clock.wall();
    let mut overrides = Vec::with_capacity(page.overrides.len());
    for (whom, source, over, holds) in &page.overrides {
        overrides.push(status::override_of(whom, source, over, *holds, wall, &names));
    }
    Ok(Json(wire::Overrides {
        of: page.of,
        overrides,
        released: page
            .released
            .iter()
            .map(|(whom, release)| status::release_of(Some(whom.user.to_string()), release))
            .collect(),
        all_released: page.all_released.as_ref().map(|release| status::release_of(None, release)),
    }))
}

/// `PUT /v1/overrides/{user}/{source}`
pub(super) async fn put(
    State(desk): State<Desk>,
    caller: Caller,
    Path((word, source)): Path<(String, String)>,
    uri: Uri,
    body: Body<wire::PutOverride>,
) -> Result<Json<wire::OverrideResult>, Problem> {
    let (whom, source, names) = addressed(&desk, &caller, &word, &source, &uri).await?;
    let Json(ask) = body.map_err(|error| unreadable(&error))?;
    let steer = Steer::Put {
        whom: whom.clone(),
        source: source.clone(),
        state: state(&ask.availability, ask.activity.as_deref())?,
        ttl: ttl(ask.ttl.as_ref())?,
        priority: ask.priority,
        reason: reason(ask.reason.as_deref())?,
    };
    let steered = steer_by(&desk, &caller, steer).await?;
    result(&desk, &whom, &source, steered, &names).await.map(Json)
}

/// `DELETE /v1/overrides/{user}/{source}`
pub(super) async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Path((word, source)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<wire::OverrideResult>, Problem> {
    let (whom, source, names) = addressed(&desk, &caller, &word, &source, &uri).await?;
    let steer = Steer::Remove { whom: whom.clone(), source: source.clone(), reason: None };
    let steered = steer_by(&desk, &caller, steer).await?;
    result(&desk, &whom, &source, steered, &names).await.map(Json)
}

/// Whose override of which source a request is about, if whoever asks may change it.
async fn addressed(
    desk: &Desk,
    caller: &Caller,
    word: &str,
    source: &str,
    uri: &Uri,
) -> Result<(Whom, Source, Arc<Names>), Problem> {
    let app = Query::of(uri, &["app"])?.get("app");
    let source = self::source(source)?;
    match &app {
        Some(app) => caller.overrides(&source, app)?,
        None => caller.may_override(&source)?,
    }
    let (word, of) = (word.to_owned(), caller.apps.clone());
    let (whom, names) = desk.find(move |names| names.exactly(&word, app.as_deref(), &of)).await?;
    Ok((whom, source, names))
}

/// A source by its name.
pub(super) fn source(name: &str) -> Result<Source, Problem> {
    Source::named(name).ok_or_else(|| {
        Problem::bad("a source has 1 to 128 characters, not only spaces, and no control characters")
    })
}

async fn steer_by(desk: &Desk, caller: &Caller, what: Steer) -> Result<Steered, Problem> {
    let by = Arc::clone(&caller.name);
    let steered = desk.ask(|to| Command::Steer { what, by, to }).await?;
    steered.map_err(|full| Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", full.to_string()))
}

async fn result(
    desk: &Desk,
    whom: &Whom,
    source: &Source,
    steered: Steered,
    names: &Names,
) -> Result<wire::OverrideResult, Problem> {
    let Steered { changed, over, holds, kept } = steered;
    let kept = in_time(kept).await;
    let is_it = holds.as_ref() == Some(&Held::Override(source.clone()));
    let wall = desk.clock.wall();
    Ok(wire::OverrideResult {
        changed,
        over: over.map(|over| status::override_of(whom, source, &over, is_it, wall, names)),
        holds: holding(holds),
        kept,
    })
}

/// Whether it is on disk, as far as that is known in time.
pub(super) async fn in_time(kept: Option<oneshot::Receiver<bool>>) -> Option<bool> {
    let kept = tokio::time::timeout(KEEPING, kept?).await;
    Some(kept.is_ok_and(|kept| kept.unwrap_or(false)))
}

pub(super) fn holding(holds: Option<Held>) -> String {
    match holds {
        None => "config".to_owned(),
        Some(Held::Release) => "released".to_owned(),
        Some(Held::Override(source)) => format!("override:{source}"),
    }
}

/// `POST /v1/release`
pub(super) async fn release(
    State(desk): State<Desk>,
    caller: Caller,
    body: Body<wire::ReleaseAsk>,
) -> Result<Json<wire::OverrideResult>, Problem> {
    caller.may_operate()?;
    let Json(ask) = body.map_err(|error| unreadable(&error))?;
    let whom = released(&desk, &caller, &ask).await?;
    let steer = Steer::Release { whom, reason: reason(ask.reason.as_deref())? };
    freed(&desk, &caller, steer).await
}

/// `POST /v1/resume`
pub(super) async fn resume(
    State(desk): State<Desk>,
    caller: Caller,
    body: Body<wire::ReleaseAsk>,
) -> Result<Json<wire::OverrideResult>, Problem> {
    caller.may_operate()?;
    let Json(ask) = body.map_err(|error| unreadable(&error))?;
    let whom = released(&desk, &caller, &ask).await?;
    let steer = Steer::Resume { whom, reason: reason(ask.reason.as_deref())? };
    freed(&desk, &caller, steer).await
}

/// Whose release a request is about; `None`: everyone's.
async fn released(desk: &Desk, caller: &Caller, ask: &wire::ReleaseAsk) -> Result<Option<Whom>, Problem> {
    match (&ask.user, ask.all) {
        (Some(word), false) => {
            let (word, app, of) = (word.clone(), ask.app.clone(), caller.apps.clone());
            if let Some(app) = &app {
                caller.operates(Some(app))?;
            }
            let (whom, _) = desk.find(move |names| names.exactly(&word, app.as_deref(), &of)).await?;
            Ok(Some(whom))
        }
        (None, true) => {
            caller.operates(None)?;
            Ok(None)
        }
        _ => Err(Problem::bad("either `user` or `all` is needed")),
    }
}

async fn freed(desk: &Desk, caller: &Caller, steer: Steer) -> Result<Json<wire::OverrideResult>, Problem> {
    let Steered { changed, holds, kept, .. } = steer_by(desk, caller, steer).await?;
    let kept = in_time(kept).await;
    Ok(Json(wire::OverrideResult { changed, over: None, holds: holding(holds), kept }))
}

/// `POST /v1/reload`: 200 with `taken`, also where the file is refused.
pub(super) async fn reload(
    State(desk): State<Desk>,
    caller: Caller,
    body: Body<wire::ReloadAsk>,
) -> Result<Json<wire::ReloadResult>, Problem> {
    caller.operates(None)?;
    let Json(wire::ReloadAsk { accept_shrink }) = body.map_err(|error| unreadable(&error))?;
    let ask = |to| {
        Command::Reload(driver::ReloadAsk {
            by: caller.origin,
            who: Some(Arc::clone(&caller.name)),
            accept_shrink,
            again: false,
            to: Some(to),
        })
    };
    let reloaded = desk.ask_for(RELOAD_PATIENCE, ask).await?;
    Ok(Json(match reloaded {
        Reloaded::Taken { config, previous, counts, changes, sessions, held, warnings, sets_take } => {
            wire::ReloadResult {
                taken: true,
                config: config.to_string(),
                previous: Some(previous.to_string()),
                added: counts.added,
                changed: counts.changed,
                removed: counts.removed,
                changes: changes.to_vec(),
                sessions,
                held,
                warnings: warnings.as_ref().map_or(0, |(count, _)| *count),
                first_warning: warnings.map(|(_, first)| first),
                sets_done_in_s: sets_take.as_secs_f64().round(),
                problems: 0,
                refused: None,
                diagnostics: None,
            }
        }
        Reloaded::Refused { kept, refused } => wire::ReloadResult {
            taken: false,
            config: kept.to_string(),
            previous: None,
            added: 0,
            changed: 0,
            removed: 0,
            changes: Vec::new(),
            sessions: 0,
            held: 0,
            warnings: 0,
            first_warning: None,
            sets_done_in_s: 0.0,
            problems: refused.problems,
            refused: Some(refused.first),
            diagnostics: refused.all.as_deref().map(str::to_owned),
        },
    }))
}

pub(super) fn unreadable(error: &JsonRejection) -> Problem {
    Problem::new(error.status(), "bad_request", error.body_text())
}

/// What is to be shown; `None`: no session.
pub(super) fn state(availability: &str, activity: Option<&str>) -> Result<Option<PresenceState>, Problem> {
    crate::config::resolve::state_of(availability, activity).map_err(Problem::bad)
}

pub(super) fn ttl(said: Option<&wire::Ttl>) -> Result<Duration, Problem> {
    let (time, text) = match said {
        None => return Ok(TTL_UNSAID),
        Some(wire::Ttl::Seconds(seconds)) => (Some(Duration::from_secs(*seconds)), seconds.to_string()),
        Some(wire::Ttl::Text(text)) => (span(text), text.clone()),
    };
    let time = time.ok_or_else(|| {
        Problem::bad(format!("ttl: `{text}` is no duration; write seconds, or a text such as 30m or PT2H"))
    })?;
    if !TTL.contains(&time) {
        return Err(Problem::bad(format!("ttl: `{text}` is out of range: 1 second to 7 days")));
    }
    Ok(time)
}

/// A span such as `90s`, `1h 30m`, `7d` or `PT2H`; a day has 24 hours.
pub(super) fn span(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(span).ok()
}

pub(super) fn reason(said: Option<&str>) -> Result<Option<Arc<str>>, Problem> {
    let Some(text) = said.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > REASON_MAX || text.contains(char::is_control) {
        return Err(Problem::bad("reason: at most 256 characters, no control characters"));
    }
    Ok(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_in_the_ways_that_people_write_it() {
        let secs = |text: &str| span(text).map(|span| span.as_secs());
        assert_eq!(
            ["90s", "30m", "1h 30m", "7d", "PT2H", "1 week"].map(secs),
            [90, 1_800, 5_400, 604_800, 7_200, 604_800].map(Some)
        );
        assert_eq!(["", "soon", "-5m", "5"].map(secs), [None; 4]);
    }
}
