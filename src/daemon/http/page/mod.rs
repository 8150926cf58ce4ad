//! The status page: how everything stands, for people. One page with a style sheet, a script and an icon of its own;
//! nothing comes from elsewhere. It works without the script, which only fetches the page again every few seconds and puts
//! what is new in its place.
//!
//! Nobody is asked who they are, and nothing can be changed here. Users appear as `[log] users` says. The markup is
//! [`maud`]'s, which escapes whatever is put into it.

mod ahead;
mod ask;
mod cards;
mod find;
mod layout;
mod list;
mod overrides;
mod strip;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use self::ahead::Coming;
use self::ask::Ask;
use self::find::Found;
use crate::config::settings::Settings;
use crate::daemon::control::problem::Problem;
use crate::daemon::control::{Desk, status, wire};
use crate::daemon::driver::{Command, OverridesPage};
use crate::daemon::health;
use crate::daemon::logging::People;
use crate::daemon::tempo::Hour;
use crate::keeper::id::{LaneIx, UserId};

/// So many views are made at a time; others wait. A search in a million users takes a core for a while.
const AT_A_TIME: usize = 2;
/// How long a view may wait for its turn and be made.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many overrides are shown.
const OVERRIDES: usize = 20;

/// Nothing from elsewhere, no inline style or script, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Clone, Debug)]
struct Page {
    desk: Desk,
    turns: Arc<Semaphore>,
}

/// The paths of the page.
pub(super) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/page.css", get(async || asset("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/page.js", get(async || asset("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/icon.svg", get(async || asset("image/svg+xml", include_str!("icon.svg"))))
        .with_state(Page { desk, turns: Arc::new(Semaphore::new(AT_A_TIME)) })
}

/// `GET /?app=&state=&q=&hours=&from=`
async fn page(State(page): State<Page>, uri: Uri) -> Response {
    let ask = Ask::of(&uri);
    let made = async {
        let _turn = page.turns.acquire().await.map_err(|_| Problem::stopping())?;
        view(&page.desk, ask).await
    };
    match tokio::time::timeout(PATIENCE, made).await.unwrap_or_else(|_| Err(Problem::busy())) {
        Ok(view) => document(StatusCode::OK, layout::page(&view).into_string()),
        Err(problem) => document(problem.status, layout::problem(&problem.message).into_string()),
    }
}

/// What a view shows.
struct View {
    ask: Ask,
    settings: Arc<Settings>,
    status: wire::Status,
    /// Why not every session is held in time; empty: it is.
    unheld: Vec<String>,
    /// The last hour of each app.
    hours: HashMap<String, Hour>,
    found: Found,
    /// Sessions of the found ones, each in short.
    briefs: Vec<wire::Session>,
    /// What comes of each; `None`: there are no schedules, and strips only look back.
    coming: Option<Vec<Vec<Coming>>>,
    overrides: OverridesPage,
    shown_overrides: Vec<wire::Override>,
    /// Since when the plan is in force.
    plan_since: SystemTime,
}

impl View {
    /// A user as `[log] users` says.
    fn who(&self, user: UserId) -> String {
        People::shown(&self.settings, user)
    }
}

async fn view(desk: &Desk, ask: Ask) -> Result<View, Problem> {
    let names = desk.names().await;
    let found = find::find(desk, &names, &ask).await?;
    let hours: HashMap<LaneIx, Hour> = desk.ask(|to| Command::Tempo { to }).await?;
    let overrides = desk.ask(|to| Command::Overrides { limit: OVERRIDES, to }).await?;
    let figures = &found.figures;
    let lanes = &figures.snapshot.lanes;
    let hours =
        lanes.iter().filter_map(|lane| Some((lane.name.to_string(), *hours.get(&lane.lane)?))).collect();
    let settings = Arc::clone(&figures.accepted.settings);
    let tolerate = settings.http.map_or(1, |http| http.tolerate);
    let taken = figures.last_reload.as_ref().filter(|reload| reload.refused.is_none());
    let shown = overrides.overrides.iter();
    let shown = shown.map(|(whom, source, over, holds)| {
        status::override_of(whom, source, over, *holds, figures.wall, &names)
    });
    let (rotas, window) = (names.rotas(), Duration::from_secs(u64::from(ask.hours()) * 3_600));
    let ahead = |looked| ahead::coming(looked, rotas, window);
    Ok(View {
        coming: (!rotas.is_empty()).then(|| found.rows.iter().map(ahead).collect()),
        status: status::of(figures),
        unheld: health::unheld(figures, tolerate),
        hours,
        briefs: found.rows.iter().map(|looked| status::session(looked, &names)).collect(),
        shown_overrides: shown.collect(),
        overrides,
        plan_since: taken.map_or(figures.started, |reload| reload.at),
        settings,
        found,
        ask,
    })
}

fn document(status: StatusCode, body: String) -> Response {
    (status, headers("text/html; charset=utf-8"), body).into_response()
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    (headers(kind), body).into_response()
}

fn headers(kind: &'static str) -> [(HeaderName, &'static str); 6] {
    [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ]
}
