//! From the file to what the driver carries out: read, checked, compared. It blocks, so it runs on a thread of its
//! own; nothing in force is touched.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::clock::Clock;
use super::lanes::{Ways, new_ways};
use super::logging::People;
use super::network::{Authorities, NetworkError};
use super::outlook::Outlook;
use super::token;
use crate::config::directory::{Asks, Directory};
use crate::config::rota::{Rotas, timestamp};
use crate::config::settings::{App, Credential, Settings, is_loopback};
use crate::config::{self, Footprint, Loaded, Look, Problems, Sources};
use crate::keeper::diff::SessionDiff;
use crate::keeper::plan::HeldRemovals;
use crate::keeper::{Diff, Plan, Wish, diff};

/// What is in force.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Everything but the plan.
    pub settings: Arc<Settings>,
    /// The plan that the keeper follows: the file's, and removals that wait. Of those who follow a schedule it has the
    /// state that costs most, which the quota is weighed by.
    pub plan: Arc<Plan>,
    /// What they want at other times.
    pub rotas: Arc<Rotas>,
    /// What was in the file of certificate authorities.
    pub authorities: Authorities,
    /// What it asks of the directories.
    pub asks: Arc<Asks>,
    /// The files, where it asks something: what they say is read again whenever a directory says something else.
    pub sources: Option<Sources>,
}

/// Where the config is read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The main file.
    pub path: PathBuf,
    /// What the settings' `state_dir` is overridden with.
    pub state_dir: Option<PathBuf>,
    /// Whether only endpoints on loopback are taken: a clock that runs fast must never meet a real service.
    pub loopback_only: bool,
    /// Where it is told what was read, at each look at the files.
    pub seen: watch::Sender<Arc<Footprint>>,
}

/// A config to take.
#[derive(Debug)]
pub struct Prepared {
    /// What will be in force.
    pub next: Accepted,
    /// From the plan in force to the next.
    pub diff: Diff,
    /// Removals that wait to be accepted.
    pub held: Vec<HeldRemovals>,
    /// Ways that are new.
    pub ways: Ways,
    /// The files.
    pub sources: Sources,
    /// How many warnings there are, and the first.
    pub warnings: Option<(usize, String)>,
    /// What it will come to.
    pub outlook: Outlook,
    /// What it changes: the first changes, in words.
    pub changes: Arc<[String]>,
}

/// Why a config is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// How many problems `check` shows; 0 when it is something else.
    pub problems: usize,
    /// The first of them with its place, or what else it is.
    pub first: String,
    /// All of them, as `check` shows them.
    pub all: Option<Arc<str>>,
}

impl From<&Problems> for Refused {
    fn from(problems: &Problems) -> Self {
        let all = Some(problems.render(false).to_string().into());
        Self { problems: problems.errors(), first: problems.first_line(), all }
    }
}

impl Refused {
    /// Another reason than a problem in the file.
    #[must_use]
    pub fn because(first: impl Into<String>) -> Self {
        Self { problems: 0, first: first.into(), all: None }
    }
}

impl ConfigFile {
    /// Reads and checks the files. `known`: what the directories have said.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(&self, known: &Directory) -> Result<Loaded, Problems> {
        let loaded = config::load_known(&self.path, Look::Everything { at: None }, known);
        let sources = loaded.as_ref().map_or_else(Problems::sources, |loaded| &loaded.sources);
        self.seen.send_replace(Arc::clone(sources.footprint()));
        let mut loaded = loaded?;
        if let Some(state_dir) = &self.state_dir {
            loaded.settings.keep_in(state_dir);
        }
        Ok(loaded)
    }

    /// Reads the files and compares them with what is in force. `accept_shrink`: removals do not wait, however many.
    ///
    /// # Errors
    /// Why they are not taken.
    pub fn prepare(
        &self,
        in_force: &Accepted,
        clock: &Clock,
        accept_shrink: bool,
        known: &Directory,
    ) -> Result<Prepared, Refused> {
        let loaded = self.load(known).map_err(|problems| Refused::from(&problems))?;
        if let Some(what) = needs_restart(&in_force.settings, &loaded.settings) {
            return Err(Refused::because(what));
        }
        self.admit(&loaded.settings)?;
        prepare(loaded, Before::InForce(in_force), clock, accept_shrink)
    }

    /// Reads the config in force again, not its files, and compares it, with what the directories say, with what is in force.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn prepare_again(
        &self,
        in_force: &Accepted,
        clock: &Clock,
        known: &Directory,
    ) -> Result<Prepared, Refused> {
        let sources = in_force.sources.clone();
        let sources = sources.ok_or_else(|| Refused::because("the config in force asks no directory"))?;
        let mut loaded = config::load_sources_known(sources, Look::Variables, known)
            .map_err(|problems| Refused::from(&problems))?;
        // Where it is kept is settled.
        loaded.settings.keep_in(&in_force.settings.daemon.state_dir);
        prepare(loaded, Before::InForce(in_force), clock, false)
    }

    /// Checks what a good config must hold to beyond itself.
    ///
    /// # Errors
    /// When an endpoint is not on loopback and has to be.
    pub fn admit(&self, settings: &Settings) -> Result<(), Refused> {
        let calls_away = settings.ping.as_ref().is_some_and(|ping| !is_loopback(&ping.url));
        if self.loopback_only && calls_away {
            return Err(Refused::because("[ping] url: with --speed, it must be on loopback"));
        }
        let away = settings.apps.iter().filter(|_| self.loopback_only).find(|app| !stays_here(app));
        away.map_or(Ok(()), |app| {
            let why = format!("app {}: with --speed, Graph and login must be on loopback", app.name);
            Err(Refused::because(why))
        })
    }
}

/// What a running daemon cannot change of itself.
fn needs_restart(was: &Settings, is: &Settings) -> Option<String> {
    fn change<T: PartialEq>(key: &str, was: &T, is: &T, show: impl Fn(&T) -> String) -> Option<String> {
        (was != is).then(|| format!("{key}: a change from {} to {} needs a restart", show(was), show(is)))
    }
    let path = |path: &PathBuf| path.display().to_string();
    let address = |at: &Option<SocketAddr>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let group = |group: &Option<Box<str>>| group.as_deref().unwrap_or("none").to_owned();
    let http = |settings: &Settings| settings.http.map(|http| http.listen);
    change("[daemon] state_dir", &was.daemon.state_dir, &is.daemon.state_dir, path)
        .or_else(|| change("[control] socket", &was.control.socket, &is.control.socket, path))
        .or_else(|| change("[control] group", &was.control.group, &is.control.group, group))
        .or_else(|| {
            change("[control] certificate_file or key_file", &was.control.tls, &is.control.tls, |_| {
                "one".to_owned()
            })
        })
        .or_else(|| change("[control] listen", &was.control.listen, &is.control.listen, address))
        .or_else(|| change("[http] listen", &http(was), &http(is), address))
}

/// Whether nothing that an app's lane asks is outside of this machine.
#[must_use]
pub fn stays_here(app: &App) -> bool {
    let host_stays =
        !matches!(app.credential, Credential::ManagedIdentity(_)) || token::host_is_on_loopback();
    host_stays && is_loopback(&app.cloud.graph) && is_loopback(&app.cloud.login)
}

/// What a config replaces.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// What the ledger remembers.
    Ledger(&'a Plan),
    /// Another config.
    InForce(&'a Accepted),
}

/// Compares a config, as of now, with what it replaces.
///
/// # Errors
/// When `[network]` cannot be done.
pub fn prepare(
    loaded: Loaded,
    before: Before<'_>,
    clock: &Clock,
    accept_shrink: bool,
) -> Result<Prepared, Refused> {
    /// Plans up to this size are checked against the diff's law in debug builds.
    const SMALL: usize = 2_000;
    let warnings = (!loaded.warnings.is_empty())
        .then(|| (loaded.warnings.warnings(), loaded.warnings.first_line()))
        .filter(|(count, _)| *count > 0);
    let refused = |error: NetworkError| Refused::because(error.to_string());
    // Read before the ways are made: if the file changes in between, the next reload makes them once more.
    let authorities = Authorities::read(&loaded.settings.network).map_err(refused)?;
    let (old, in_force) = match before {
        Before::Ledger(plan) => (plan, None),
        Before::InForce(in_force) => (&*in_force.plan, Some(in_force)),
    };
    // An authority may be replaced in its file, and the config not touched.
    let made_for = in_force.filter(|in_force| in_force.authorities == authorities);
    let ways = new_ways(&loaded.settings, made_for.map(|made_for| &*made_for.settings)).map_err(refused)?;
    let max_removed = if accept_shrink { 100 } else { loaded.settings.daemon.max_removed };
    let sessions = loaded.plan.len();
    // Who belongs to a group that was never read may be one of those who are there.
    let plan = if accept_shrink { loaded.plan } else { loaded.plan.keeping(old, &loaded.unread) };
    let kept = plan.len() > sessions;
    let (plan, held) = plan.hold_removals(old, max_removed);
    let mut rotas = loaded.rotas;
    let none = Rotas::default();
    let older = in_force.map_or(&none, |in_force| &*in_force.rotas);
    if kept || !held.is_empty() {
        rotas.adopt(older, &plan);
    }
    let (wall, now) = (clock.wall(), clock.now());
    let (was, is) = (shown(older, old, wall), shown(&rotas, &plan, wall));
    let mut diff = diff(&was, &is);
    debug_assert!(plan.len() > SMALL || diff.apply(&was) == *is, "apply(old, diff(old, new)) == new");
    let outlook = Outlook::of(&plan, &was, &is, &diff);
    let changes = changes(&was, &diff, &loaded.settings);
    rotas.end(&mut diff, wall, now);
    let next = Accepted {
        settings: Arc::new(loaded.settings),
        plan: Arc::new(plan),
        rotas: Arc::new(rotas),
        authorities,
        sources: (!loaded.asks.is_empty()).then(|| loaded.sources.clone()),
        asks: Arc::new(loaded.asks),
    };
    Ok(Prepared { next, diff, held, ways, sources: loaded.sources, warnings, outlook, changes })
}

/// A plan as the schedules have it at a moment.
fn shown<'a>(rotas: &Rotas, plan: &'a Plan, wall: SystemTime) -> Cow<'a, Plan> {
    if rotas.is_empty() {
        return Cow::Borrowed(plan);
    }
    Cow::Owned(rotas.show(plan, &rotas.standings(timestamp(wall))))
}

/// The first changes of a diff, in words: `+ user app state`, `~ user app state -> state`, `- user app`.
fn changes(old: &Plan, diff: &Diff, settings: &Settings) -> Arc<[String]> {
    const FIRST: usize = 100;
    let shown = |wish: Option<Wish>| wish.map_or_else(|| "none".to_owned(), |wish| wish.state.to_string());
    let show = |user| People::shown(settings, user);
    let each = diff.lanes.iter().flat_map(|lane| lane.sessions.iter().map(move |session| (lane, session)));
    each.take(FIRST)
        .map(|(lane, session)| {
            let was = old.lane(&lane.key);
            let named = settings.apps.iter().find(|app| app.lane() == lane.key).map(|app| &app.name);
            let app = named.or_else(|| was.map(|lane| &lane.head.name)).map_or("", |name| &**name);
            match session {
                SessionDiff::Added(plan) => {
                    format!("+ {} {app}: {}", show(plan.user), shown(plan.wish))
                }
                SessionDiff::Removed { user, .. } => format!("- {} {app}", show(*user)),
                SessionDiff::Changed(plan) => {
                    let before = was.and_then(|lane| lane.session(plan.user)).and_then(|s| s.wish);
                    let wish = |wish: Option<Wish>| {
                        let expiration = wish.map(|wish| format!(" for {}", wish.expiration));
                        let same_state = before.map(|b| b.state) == plan.wish.map(|w| w.state);
                        let expiration = expiration.filter(|_| same_state).unwrap_or_default();
                        format!("{}{expiration}", shown(wish))
                    };
                    format!("~ {} {app}: {} -> {}", show(plan.user), wish(before), wish(plan.wish))
                }
            }
        })
        .collect()
}
