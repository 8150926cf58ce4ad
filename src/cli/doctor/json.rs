//! The answer for programs to read. Its keys are stable, and stand in the README.

use serde_json::{Value, json};

use crate::config::Loaded;
use crate::config::settings::Settings;
use crate::daemon::doctor::{AppReport, Check, Finding, UserReport};

/// `ok`, `config` and `apps`, each with its `checks` and `users`.
pub(super) fn report(found: &[AppReport], loaded: &Loaded) -> Value {
    json!({
        "ok": found.iter().all(AppReport::is_well),
        "config": loaded.settings.hash.to_string(),
        "apps": found.iter().map(|app| of_app(app, &loaded.settings)).collect::<Vec<_>>(),
    })
}

fn of_app(app: &AppReport, settings: &Settings) -> Value {
    json!({
        "app": &*app.app,
        "tenant": app.tenant.to_string(),
        "client_id": app.client_id.to_string(),
        "ok": app.is_well(),
        "refused": app.refused,
        "checks": app.checks.iter().map(of_check).collect::<Vec<_>>(),
        "users": app.users.iter().map(|user| of_user(user, settings)).collect::<Vec<_>>(),
    })
}

fn of_check(check: &Check) -> Value {
    json!({
        "check": check.name.word(),
        "status": check.status.word(),
        "detail": check.detail,
        "advice": check.advice,
    })
}

fn of_user(report: &UserReport, settings: &Settings) -> Value {
    let (seen, why) = match &report.finding {
        Finding::Seen(seen) => (Some(seen), None),
        Finding::Missing => (None, Some("Graph has no presence of this user in this tenant")),
        Finding::NotRead(why) => (None, Some(&**why)),
    };
    json!({
        "user": report.user.to_string(),
        "name": settings.people.get(&report.user).and_then(|person| person.name.as_deref()),
        "status": report.finding.status().word(),
        "availability": seen.map(|seen| &seen.availability),
        "activity": seen.map(|seen| &seen.activity),
        "detail": why,
    })
}
