//! `presenced plan`: what a config will cost, before anything is sent.

mod edges;
#[cfg(test)]
mod tests;
mod text;
mod week;
mod when;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::edges::Edge;
use self::week::Week;
use self::when::When;
use super::{exit, people};
use crate::config::rota::Spell;
use crate::config::{self, Loaded, Look};
use crate::daemon::clock::Clock;
use crate::keeper::forecast::{LaneForecast, forecast};
use crate::keeper::id::UserId;
use crate::keeper::{PresenceState, SessionPlan};

/// Does the arithmetic on the config: requests against quota, periods, outage budget, cold start, who is left out. Where
/// there are schedules, also what they change in the coming day, or of one user in the coming week.
#[derive(clap::Args, Clone, Debug)]
pub struct PlanArgs {
    /// Only this user: an object id, name, alias, or the beginning of one
    pub user: Option<String>,
    /// Only this app
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// From when on to look ahead: 2026-12-01T08:00:00Z, a time here such as "2026-12-01 08:00", or the next 08:00
    /// [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// For how long to look ahead, 1m to 8d [default: 24h; of one user, 7 days]
    #[arg(long = "for", value_name = "SPAN", value_parser = when::span)]
    pub span: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Works out what the config at `config_path` will cost and prints it to standard output.
///
/// Returns exit code 0 if every session can be kept, 3 if some are left out, 78 for a config that is not admitted,
/// 2 for a user or an app that is not in it, and for a time that cannot be read.
///
/// # Errors
///
/// Standard output cannot be written to.
pub fn run(config_path: &Path, args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let now = Timestamp::try_from(Clock::real().wall()).unwrap_or(Timestamp::MAX);
    let when = match When::read(args.at.as_deref(), args.span, now, TimeZone::system()) {
        Ok(when) => when,
        Err(what) => {
            writeln!(std::io::stderr(), "error: {what}")?;
            return Ok(exit::USAGE.into());
        }
    };
    // Secrets change nothing in the arithmetic: it can be done where there are none.
    let loaded = match config::load(config_path, Look::Variables) {
        Ok(loaded) => loaded,
        Err(problems) => {
            writeln!(std::io::stderr(), "{}error: {}", problems.render(false), problems.summary())?;
            return Ok(exit::CONFIG.into());
        }
    };
    let answer = match Answer::of(&loaded, args, when) {
        Ok(answer) => answer,
        Err(what) => {
            writeln!(std::io::stderr(), "error: {what}")?;
            return Ok(exit::USAGE.into());
        }
    };
    let mut out = std::io::stdout().lock();
    let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = if args.json { format!("{:#}\n", answer.to_json()) } else { text::render(&answer, color) };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads along has seen enough; the exit code still tells.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(if answer.fits() { ExitCode::SUCCESS } else { exit::NO.into() })
}

/// What was asked for.
struct Answer<'a> {
    loaded: &'a Loaded,
    /// The lanes that it is about.
    lanes: Vec<LaneForecast<'a>>,
    /// The one user that it is about.
    user: Option<UserId>,
    /// The time that is looked ahead.
    when: When,
    /// What changes in it; `None`: there are no schedules, or it is about one user.
    edges: Option<Vec<Edge<'a>>>,
}

impl<'a> Answer<'a> {
    fn of(loaded: &'a Loaded, args: &PlanArgs, when: When) -> Result<Self, String> {
        let mut lanes = forecast(&loaded.plan);
        if let Some(app) = &args.app {
            lanes.retain(|lane| *lane.lane.head.name == **app);
            if lanes.is_empty() {
                let mut names: Vec<&str> = loaded.settings.apps.iter().map(|app| &*app.name).collect();
                names.truncate(10);
                return Err(format!("no app of the config is called `{app}`; there is {}", names.join(", ")));
            }
        }
        let user = match &args.user {
            Some(word) => Some(people::find(word, &loaded.settings, &loaded.plan)?),
            None => None,
        };
        if let Some(user) = user {
            lanes.retain(|lane| lane.lane.session(user).is_some());
            if lanes.is_empty() {
                return Err(format!("{} is in another app", people::shown(user, &loaded.settings)));
            }
        }
        let edges = (user.is_none() && !loaded.rotas.is_empty()).then(|| {
            let mut edges = edges::ahead(loaded, when.from, when.until());
            edges.retain(|edge| args.app.as_deref().is_none_or(|app| app == edge.app));
            edges
        });
        Ok(Self { loaded, lanes, user, when, edges })
    }

    /// Whether everyone it is about can be kept.
    fn fits(&self) -> bool {
        match self.user {
            Some(_) => self.sessions().all(|(_, session)| session.funded || session.wish.is_none()),
            None => self.lanes.iter().all(LaneForecast::fits),
        }
    }

    /// The user's sessions, each with its lane.
    fn sessions(&self) -> impl Iterator<Item = (&LaneForecast<'a>, &'a SessionPlan)> {
        self.lanes.iter().filter_map(|lane| Some((lane, lane.lane.session(self.user?)?)))
    }

    /// `config`, `fits`, and `apps` and, where there are schedules, `ahead`; or `sessions` of the one user.
    fn to_json(&self) -> Value {
        let mut out = json!({ "config": self.loaded.settings.hash.to_string(), "fits": self.fits() });
        if self.user.is_some() {
            out["sessions"] =
                self.sessions().map(|(lane, session)| self.session_json(lane, session)).collect();
        } else {
            out["apps"] = self.lanes.iter().map(|lane| self.app_json(lane)).collect();
        }
        if let Some(edges) = &self.edges {
            out["ahead"] = json!({
                "from": self.when.from.to_string(),
                "until": self.when.until().to_string(),
                "edges": edges.iter().map(edge_json).collect::<Vec<_>>(),
            });
        }
        out
    }

    fn app_json(&self, lane: &LaneForecast<'_>) -> Value {
        let periods = lane.terms.iter().map(|(&term, sessions)| {
            json!({
                "term_s": seconds(term), "period_s": seconds(lane.period(term)), "sessions": sessions,
            })
        });
        json!({
            "app": &*lane.lane.head.name,
            "sessions": lane.sessions,
            "available": lane.available,
            "requests_per_second": rounded(lane.rate),
            "quota_per_second": rounded(lane.lane.head.quota.per_second()),
            "utilisation": rounded(lane.utilisation()),
            "fraction": rounded(lane.fraction),
            "renewal_period_s": seconds(lane.shortest_period()),
            "periods": periods.collect::<Vec<_>>(),
            "cold_start_s": seconds(lane.cold_start()),
            "outage_budget_s": seconds(lane.outage_budget()),
            "lapses_without_ledger": lane.lapses_without_ledger(),
            "unfunded": lane.unfunded,
            "unfunded_users": lane.left_out().map(|user| self.user_json(user)).collect::<Vec<_>>(),
            "fits": lane.fits(),
        })
    }

    fn session_json(&self, lane: &LaneForecast<'_>, session: &SessionPlan) -> Value {
        let mut out = self.user_json(session.user);
        let said = self.said_of(lane.lane, session.user);
        out["app"] = json!(&*lane.lane.head.name);
        out["line"] = json!(said.line);
        out["groups"] = json!(said.groups);
        if let Some(week) = Week::of(self, lane.lane, session) {
            out["timezone"] = json!(week.zone.iana_name());
            out["spells"] = week.spells.iter().map(|spell| spell_json(&week, spell)).collect();
        }
        out["availability"] = json!(session.wish.map_or("none", |wish| wish.state.availability()));
        if let Some(wish) = session.wish {
            out["activity"] = json!(wish.state.activity());
            out["expiration"] = json!(format!("PT{}M", wish.expiration.minutes()));
            out["funded"] = json!(session.funded);
            out["priority"] = json!(session.priority);
            out["term_s"] = json!(seconds(wish.term()));
            out["renewal_period_s"] = json!(seconds(lane.period(wish.term())));
            out["outage_budget_s"] = json!(seconds(wish.term() - lane.period(wish.term())));
        }
        out
    }

    fn user_json(&self, user: UserId) -> Value {
        let name = self.loaded.settings.people.get(&user).and_then(|person| person.name.as_deref());
        json!({ "user": user.to_string(), "name": name })
    }
}

fn edge_json(edge: &Edge<'_>) -> Value {
    let to = edge.to.iter().map(|(state, users)| {
        let mut to = state_json(*state);
        to["users"] = json!(users);
        to
    });
    json!({
        "at": edge.at.to_string(),
        "app": edge.app,
        "to": to.collect::<Vec<_>>(),
        "opens": edge.opens,
        "closes": edge.closes,
        "requests": edge.requests(),
        "take_s": seconds(edge.takes),
        "quota_used": rounded(edge.used),
        "requests_per_second": rounded(edge.rate),
        "utilisation": rounded(edge.utilisation),
    })
}

fn spell_json(week: &Week<'_>, spell: &Spell) -> Value {
    let mut out = state_json(spell.wish.map(|wish| wish.state));
    let named = week.schedule(spell);
    out["from"] = json!(spell.from.to_string());
    out["until"] = json!(spell.until.to_string());
    out["schedule"] = json!(named.map(|named| &*named.name));
    out
}

/// `availability`, `none` for no session of ours, and `activity`.
fn state_json(state: Option<PresenceState>) -> Value {
    json!({
        "availability": state.map_or("none", PresenceState::availability),
        "activity": state.map(PresenceState::activity),
    })
}

fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64())
}

/// Four digits after the point: more would only be noise.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
