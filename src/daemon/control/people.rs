//! Who is meant: by an object id, an exact name or alias, or, where nothing is changed, the beginning of one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::problem::Problem;
use crate::config::did_you_mean;
use crate::config::rota::Rotas;
use crate::config::settings::{Group, Settings};
use crate::daemon::overrides::Whom;
use crate::daemon::reload::Accepted;
use crate::keeper::Plan;
use crate::keeper::id::UserId;

/// More candidates than this are not named.
const CANDIDATES: usize = 5;
/// So many that a beginning fits are looked at.
const MANY: usize = 1_000;

/// The apps that a caller is for; `None`: all. Of others nothing is told, not even that they are there.
pub(super) type Apps = Option<Vec<Arc<str>>>;

/// The users of a config, by what they are called.
#[derive(Debug)]
pub(in crate::daemon) struct Names {
    accepted: Accepted,
    /// Names and aliases in small letters; few are shared. Made when somebody is first called by one.
    called: OnceLock<HashMap<Box<str>, Vec<UserId>>>,
}

impl Names {
    /// Of this config.
    pub(in crate::daemon) fn new(accepted: Accepted) -> Self {
        Self { accepted, called: OnceLock::new() }
    }

    /// By what they are called. Blocks the first time: there may be a million of them.
    fn index(&self) -> &HashMap<Box<str>, Vec<UserId>> {
        self.called.get_or_init(|| Self::indexed(&self.accepted.settings))
    }

    fn indexed(settings: &Settings) -> HashMap<Box<str>, Vec<UserId>> {
        let mut called: HashMap<Box<str>, Vec<UserId>> = HashMap::new();
        for (user, person) in &settings.people {
            let words = person.name.as_deref().into_iter().chain(person.aliases.iter().map(AsRef::as_ref));
            for word in words {
                let users = called.entry(word.to_lowercase().into()).or_default();
                if !users.contains(user) {
                    users.push(*user);
                }
            }
        }
        called
    }

    /// Whether they are of this config.
    pub(in crate::daemon) fn are_of(&self, accepted: &Accepted) -> bool {
        Arc::ptr_eq(&self.accepted.settings, &accepted.settings)
    }

    /// What the config says.
    pub(in crate::daemon) fn settings(&self) -> &Settings {
        &self.accepted.settings
    }

    /// What the user is called in the config.
    pub(in crate::daemon) fn name(&self, user: UserId) -> Option<&str> {
        self.accepted.settings.people.get(&user)?.name.as_deref()
    }

    /// Those who are called so: exactly, or where `within`, with it as a part of a name or an alias. Without case.
    pub(in crate::daemon) fn called(&self, word: &str, within: bool) -> HashSet<UserId> {
        let word = word.to_lowercase();
        let whole = self.index().get(word.as_str()).into_iter();
        let parts =
            self.index().iter().filter(|(name, _)| within && name.contains(&word)).map(|(_, users)| users);
        whole.chain(parts).flatten().copied().collect()
    }

    /// What is wanted of them at which time.
    pub(in crate::daemon) fn rotas(&self) -> &Rotas {
        &self.accepted.rotas
    }

    /// The plan that they are of.
    pub(in crate::daemon) fn plan(&self) -> &Plan {
        &self.accepted.plan
    }

    /// The app of a lane.
    pub(in crate::daemon) fn app(&self, whom: &Whom) -> String {
        let apps = &self.accepted.settings.apps;
        let app = apps.iter().find(|app| app.lane() == whom.lane);
        app.map_or_else(|| whom.lane.client.to_string(), |app| app.name.to_string())
    }

    /// Whether the config has an app of this name.
    pub(super) fn know_app(&self, app: &str) -> Result<(), Problem> {
        let known = self.accepted.settings.apps.iter().any(|known| &*known.name == app);
        if known { Ok(()) } else { Err(Problem::unknown(format!("the config has no app `{app}`"))) }
    }

    /// The one session that is meant by an object id, or an exact name or alias, compared without case.
    pub(super) fn exactly(&self, word: &str, app: Option<&str>, of: &Apps) -> Result<Whom, Problem> {
        let all = self.sessions(&self.users(word), app, of)?;
        match all.len() {
            1 => Ok(all.into_iter().next().ok_or_else(Problem::bug)?),
            0 => Err(self.nobody(word, app)),
            _ => Err(self.several(word, &all)),
        }
    }

    /// The sessions of the one user that is meant, if need be by the beginning of an id, a name or an alias that fits
    /// nobody else.
    pub(super) fn nearly(&self, word: &str, app: Option<&str>, of: &Apps) -> Result<Vec<Whom>, Problem> {
        let mut all = self.sessions(&self.users(word), app, of)?;
        if all.is_empty() {
            all = self.sessions(&self.beginning(word), app, of)?;
        }
        let meant: BTreeSet<UserId> = all.iter().map(|whom| whom.user).collect();
        match meant.len() {
            0 => Err(self.nobody(word, app)),
            1 => Ok(all),
            _ => Err(self.several(word, &all)),
        }
    }

    /// The group of this name, compared without case, and its app's name.
    pub(super) fn group(&self, word: &str, app: Option<&str>, of: &Apps) -> Result<(&Group, &str), Problem> {
        if let Some(app) = app {
            self.know_app(app)?;
        }
        let may = |name: &str| of.as_ref().is_none_or(|of| of.iter().any(|own| **own == *name));
        let settings = &self.accepted.settings;
        let here: Vec<(&Group, &str)> = settings
            .groups
            .iter()
            .filter_map(|group| Some((group, settings.apps.iter().find(|app| app.lane() == group.lane)?)))
            .map(|(group, app)| (group, &*app.name))
            .filter(|(_, name)| may(name) && app.is_none_or(|app| app == *name))
            .collect();
        let exact = here.iter().find(|(group, _)| *group.name == *word);
        let wanted = word.to_lowercase();
        let found = exact.or_else(|| here.iter().find(|(group, _)| group.name.to_lowercase() == wanted));
        found.copied().ok_or_else(|| {
            let of = app.map(|app| format!(" of app {app}")).unwrap_or_default();
            let names: Vec<&str> = here.iter().map(|(group, _)| &*group.name).collect();
            let near = did_you_mean(word, &names).map(|near| format!("; did you mean `@{near}`?"));
            let near = near.unwrap_or_default();
            Problem::unknown(format!("no group{of} of the config is called `{word}`{near}"))
        })
    }

    fn users(&self, word: &str) -> Vec<UserId> {
        if let Ok(user) = word.to_lowercase().parse() {
            return vec![user];
        }
        self.index().get(word.to_lowercase().as_str()).cloned().unwrap_or_default()
    }

    fn beginning(&self, word: &str) -> Vec<UserId> {
        let word = word.to_lowercase();
        if word.is_empty() {
            return Vec::new();
        }
        let mut users: BTreeSet<UserId> = self
            .index()
            .iter()
            .filter(|(name, _)| name.starts_with(&word))
            .flat_map(|(_, users)| users)
            .copied()
            .take(MANY)
            .collect();
        if word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            let sessions = self.accepted.plan.lanes().iter().flat_map(|lane| &lane.sessions);
            let ids = sessions.map(|session| session.user).filter(|id| id.to_string().starts_with(&word));
            users.extend(ids.take(MANY));
        }
        users.into_iter().collect()
    }

    /// The sessions of these users, in the lanes' order.
    fn sessions(&self, users: &[UserId], app: Option<&str>, of: &Apps) -> Result<Vec<Whom>, Problem> {
        let lanes = self.accepted.plan.lanes();
        if let Some(app) = app {
            self.know_app(app)?;
        }
        let may = |name: &str| of.as_ref().is_none_or(|of| of.iter().any(|own| **own == *name));
        let lanes = lanes.iter().filter(|lane| may(&lane.head.name));
        let lanes = lanes.filter(|lane| app.is_none_or(|app| &*lane.head.name == app));
        Ok(lanes
            .flat_map(|lane| {
                let here = users.iter().filter(|user| lane.session(**user).is_some());
                here.map(|user| Whom { lane: lane.key.clone(), user: *user })
            })
            .collect())
    }

    fn nobody(&self, word: &str, app: Option<&str>) -> Problem {
        let of = app.map(|app| format!(" of app {app}")).unwrap_or_default();
        Problem::unknown(format!("no user{of} of the config is called `{word}`"))
    }

    fn several(&self, word: &str, all: &[Whom]) -> Problem {
        let users: BTreeSet<UserId> = all.iter().map(|whom| whom.user).collect();
        if users.len() == 1 {
            let apps: Vec<String> = all.iter().map(|whom| self.app(whom)).collect();
            return Problem::ambiguous(format!(
                "`{word}` is a user of several apps: {}; say which with --app, or ?app=",
                apps.join(", ")
            ));
        }
        let mut names: Vec<String> = users
            .iter()
            .take(CANDIDATES)
            .map(|user| self.name(*user).map_or_else(|| user.to_string(), |name| format!("{name} ({user})")))
            .collect();
        if users.len() > CANDIDATES {
            names.push(format!("{} more", users.len() - CANDIDATES));
        }
        Problem::ambiguous(format!("`{word}` may be one of {}: {}", users.len(), names.join(", ")))
    }
}
