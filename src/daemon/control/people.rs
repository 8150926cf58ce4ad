//! Who is meant: by an object id, an exact name or alias, or, where nothing is changed, the beginning of one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::problem::Problem;
use crate::config::settings::Settings;
use crate::daemon::overrides::Whom;
use crate::daemon::reload::Accepted;
use crate::keeper::id::UserId;

/// More candidates than this are not named.
const CANDIDATES: usize = 5;

/// The users of a config, by what they are called.
#[derive(Debug)]
pub(super) struct Names {
    accepted: Accepted,
    /// Names and aliases in small letters; few are shared.
    called: HashMap<Box<str>, Vec<UserId>>,
}

impl Names {
    /// Reads them all.
    pub(super) fn new(accepted: Accepted) -> Self {
        let mut called: HashMap<Box<str>, Vec<UserId>> = HashMap::new();
        for (user, person) in &accepted.settings.people {
            let words = person.name.as_deref().into_iter().chain(person.aliases.iter().map(AsRef::as_ref));
            for word in words {
                let users = called.entry(word.to_lowercase().into()).or_default();
                if !users.contains(user) {
                    users.push(*user);
                }
            }
        }
        Self { accepted, called }
    }

    /// Whether they are of this config.
    pub(super) fn are_of(&self, accepted: &Accepted) -> bool {
        Arc::ptr_eq(&self.accepted.settings, &accepted.settings)
    }

    /// What the config says.
    pub(super) fn settings(&self) -> &Settings {
        &self.accepted.settings
    }

    /// What the user is called in the config.
    pub(super) fn name(&self, user: UserId) -> Option<&str> {
        self.accepted.settings.people.get(&user)?.name.as_deref()
    }

    /// The app of a lane.
    pub(super) fn app(&self, whom: &Whom) -> String {
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
    pub(super) fn exactly(&self, word: &str, app: Option<&str>) -> Result<Whom, Problem> {
        let all = self.sessions(&self.users(word), app)?;
        match all.len() {
            1 => Ok(all.into_iter().next().ok_or_else(Problem::bug)?),
            0 => Err(self.nobody(word, app)),
            _ => Err(self.several(word, &all)),
        }
    }

    /// The sessions of the one user that is meant, if need be by the beginning of an id, a name or an alias that fits
    /// nobody else.
    pub(super) fn nearly(&self, word: &str, app: Option<&str>) -> Result<Vec<Whom>, Problem> {
        let mut users = self.users(word);
        if users.is_empty() {
            users = self.beginning(word);
        }
        let all = self.sessions(&users, app)?;
        let meant: BTreeSet<UserId> = all.iter().map(|whom| whom.user).collect();
        match meant.len() {
            0 => Err(self.nobody(word, app)),
            1 => Ok(all),
            _ => Err(self.several(word, &all)),
        }
    }

    fn users(&self, word: &str) -> Vec<UserId> {
        if let Ok(user) = word.to_lowercase().parse() {
            return vec![user];
        }
        self.called.get(word.to_lowercase().as_str()).cloned().unwrap_or_default()
    }

    fn beginning(&self, word: &str) -> Vec<UserId> {
        let word = word.to_lowercase();
        if word.is_empty() {
            return Vec::new();
        }
        let mut users: BTreeSet<UserId> = self
            .called
            .iter()
            .filter(|(name, _)| name.starts_with(&word))
            .flat_map(|(_, users)| users)
            .copied()
            .collect();
        if word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            let sessions = self.accepted.plan.lanes().iter().flat_map(|lane| &lane.sessions);
            let ids = sessions.map(|session| session.user).filter(|id| id.to_string().starts_with(&word));
            users.extend(ids.take(CANDIDATES * 2));
        }
        users.into_iter().collect()
    }

    /// The sessions of these users, in the lanes' order.
    fn sessions(&self, users: &[UserId], app: Option<&str>) -> Result<Vec<Whom>, Problem> {
        let lanes = self.accepted.plan.lanes();
        if let Some(app) = app {
            self.know_app(app)?;
        }
        let lanes = lanes.iter().filter(|lane| app.is_none_or(|app| &*lane.head.name == app));
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
