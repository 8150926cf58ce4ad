//! Looking: status, one user, history, health.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;

use super::caller::Caller;
use super::problem::Problem;
use super::{Desk, status, wire};
use crate::daemon::audit;
use crate::daemon::driver::{Command, Looked};
use crate::daemon::overrides::Whom;
use crate::daemon::{health, wall};

/// So many of the worst sessions are told.
const WORST: usize = 20;
/// So many records of the history are told.
const RECORDS: usize = 10_000;
/// How far back the history goes where it is not said.
const SINCE: Duration = Duration::from_secs(86_400);

/// `GET /v1/status`
pub(super) async fn status(
    State(desk): State<Desk>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<wire::Status>, Problem> {
    let app = Query::of(&uri, &["app"])?.get("app");
    caller.reads(app.as_deref())?;
    let names = desk.names().await?;
    let (figures, worst) = desk.ask(|to| Command::Worst { limit: WORST, to }).await?;
    let mut status = status::of(&figures);
    if let Some(app) = &app {
        names.know_app(app)?;
        status.apps.retain(|of| of.app == *app);
    }
    let worst = worst.iter().map(|looked| status::brief(looked, &names));
    status.worst =
        worst.filter(|of| of.reason.is_some() && app.as_ref().is_none_or(|app| of.app == *app)).collect();
    Ok(Json(status))
}

/// `GET /v1/users/{user}`
pub(super) async fn user(
    State(desk): State<Desk>,
    caller: Caller,
    Path(word): Path<String>,
    uri: Uri,
) -> Result<Json<wire::User>, Problem> {
    let (user, _) = look(&desk, &caller, &word, &uri).await?;
    Ok(Json(user))
}

/// One user, and their sessions as they were looked at.
pub(super) async fn look(
    desk: &Desk,
    caller: &Caller,
    word: &str,
    uri: &Uri,
) -> Result<(wire::User, Vec<Looked>), Problem> {
    let app = Query::of(uri, &["app"])?.get("app");
    let names = desk.names().await?;
    let whom = names.nearly(word, app.as_deref())?;
    for whom in &whom {
        caller.reads(Some(&names.app(whom)))?;
    }
    let looked = desk.ask(|to| Command::Look { whom, to }).await?;
    let user = looked.first().ok_or_else(Problem::bug)?.whom.user;
    let person = names.settings().people.get(&user);
    let report = wire::User {
        user: user.to_string(),
        name: names.name(user).map(str::to_owned),
        aliases: person
            .map(|person| person.aliases.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        sessions: looked.iter().map(|looked| status::session(looked, &names)).collect(),
    };
    Ok((report, looked))
}

/// Looks at one session.
pub(super) async fn look_at(desk: &Desk, whom: &Whom) -> Result<Looked, Problem> {
    let looked = desk.ask(|to| Command::Look { whom: vec![whom.clone()], to }).await?;
    looked.into_iter().next().ok_or_else(Problem::bug)
}

/// `GET /v1/history?since=&user=`: `since` is a time (RFC 3339) or a span (`24h`).
pub(super) async fn history(
    State(desk): State<Desk>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<wire::History>, Problem> {
    caller.reads(None)?;
    let query = Query::of(&uri, &["since", "user", "app"])?;
    let (user, app) = (query.get("user"), query.get("app"));
    let names = desk.names().await?;
    if let Some(app) = &app {
        names.know_app(app)?;
    }
    let user = match user {
        None => None,
        Some(word) => names.nearly(&word, app.as_deref())?.first().map(|whom| whom.user.to_string()),
    };
    let now = desk.clock.wall();
    let since = match query.get("since") {
        None => now.checked_sub(SINCE).unwrap_or(now),
        Some(text) => match (wall::parse(&text), super::overrides::span(&text)) {
            (Some(at), _) => at,
            (None, Some(span)) => now.checked_sub(span).unwrap_or(now),
            (None, None) => {
                return Err(Problem::bad(format!(
                    "since: `{text}` is neither a span such as 24h nor a time such as 2026-11-25T08:00:00Z"
                )));
            }
        },
    };
    let wanted = audit::Wanted { since: wall::text(since), user, app, limit: RECORDS };
    let state = desk.state.clone();
    let read = tokio::task::spawn_blocking(move || audit::read(&state, &wanted)).await;
    let records = read.map_err(|_| Problem::bug())?.map_err(|error| {
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "unreadable",
            format!("the history cannot be read: {error}"),
        )
    })?;
    Ok(Json(wire::History { records }))
}

/// `GET /v1/health`
pub(super) async fn health(State(desk): State<Desk>, caller: Caller) -> Result<Json<wire::Health>, Problem> {
    caller.reads(None)?;
    let figures = desk.figures();
    let tolerate = figures.accepted.settings.http.map_or(1, |http| http.tolerate);
    let mut reasons = health::unheld(&figures, tolerate);
    let held = reasons.is_empty();
    let live = health::is_live(&figures, &desk.clock);
    if !live {
        reasons.insert(0, "the driver's loop does not turn".to_owned());
    }
    Ok(Json(wire::Health { live, ready: health::is_ready(&figures), held, reasons }))
}

/// What stands behind the `?` of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads it; only these keys may be in it.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let pairs: Vec<(String, String)> = pairs.into_owned().collect();
        for (n, (key, _)) in pairs.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(Problem::bad(format!(
                    "unknown parameter `{key}`; known here: {}",
                    known.join(", ")
                )));
            }
            if pairs[..n].iter().any(|(other, _)| other == key) {
                return Err(Problem::bad(format!("`{key}` is there twice")));
            }
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }
}
