//! The hash of what a config means: the same for files that differ in comments, order, spelling or in how they are
//! split, on any machine and in any directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::apps::Apps;
use crate::config::credential::Way;
use crate::config::environment::is_bare;
use crate::config::file::Contents;
use crate::config::notify::Notify;
use crate::config::read::Key;
use crate::config::rota::{Rota, Rotas};
use crate::config::settings::{
    ConfigHash, ControlSettings, DaemonSettings, Group, HttpSettings, Identity, LogUsers, Network, OnStop,
    Person, PingSettings, Proxy, StartWith,
};
use crate::config::source::{Placed, Sources};
use crate::keeper::id::{LaneKey, UserId};
use crate::keeper::{OnRemove, Plan, Wish};

/// Begins every hash. A change of what is hashed, or how, gives it another number.
const FORMAT: &str = "presenced config 4";

/// What the files say besides apps and sessions.
pub(super) struct Written<'a> {
    pub(super) main: &'a Contents,
    pub(super) daemon: &'a DaemonSettings,
    pub(super) control: &'a ControlSettings,
    pub(super) http: Option<&'a HttpSettings>,
    pub(super) ping: Option<&'a PingSettings>,
    pub(super) network: &'a Network,
    pub(super) log_users: LogUsers,
    pub(super) notify: &'a [Notify],
    pub(super) people: &'a HashMap<UserId, Person>,
    pub(super) groups: &'a [Group],
    pub(super) rotas: &'a Rotas,
}

pub(super) fn of(written: &Written<'_>, apps: &Apps, plan: &Plan, sources: &Sources) -> ConfigHash {
    let mut canon = Canon(Sha256::new());
    canon.text(FORMAT);
    canon.settings(written);
    canon.doors(written);
    canon.apps(apps, sources);
    canon.sessions(plan);
    // With the ids beside each other: they may be a million.
    let mut people: Vec<_> = written.people.iter().map(|(id, person)| (*id, person)).collect();
    people.sort_unstable_by_key(|(id, _)| *id);
    canon.number(people.len() as u64);
    for (id, person) in people {
        canon.bytes(id.as_bytes());
        canon.text(person.name.as_deref().unwrap_or_default());
        canon.number(person.aliases.len() as u64);
        person.aliases.iter().for_each(|alias| canon.text(alias));
    }
    canon.later(written);
    ConfigHash(canon.0.finalize().into())
}

/// Writes values so that no two sequences of them look the same: each text with its length.
struct Canon(Sha256);

impl Canon {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn settings(&mut self, written: &Written<'_>) {
        let path =
            |path: Option<&Box<str>>| path.map(|path| normal(Path::new(path.as_ref()))).unwrap_or_default();
        self.text(&match written.main.daemon.state_dir.value() {
            Some(state_dir) => path(Some(state_dir)),
            None => written.daemon.state_dir.to_string_lossy().into_owned(),
        });
        self.text(match written.daemon.on_stop {
            OnStop::Leave => "leave",
            OnStop::Clear => "clear",
        });
        self.text(match written.daemon.on_remove {
            OnRemove::Leave => "leave",
            OnRemove::Clear => "clear",
        });
        self.text(match written.daemon.start_with {
            StartWith::LastGood => "last-good",
            StartWith::File => "file",
        });
        self.number(written.daemon.stop_timeout.as_secs());
        self.number(written.daemon.stop_timeout.subsec_nanos().into());
        self.number(written.daemon.max_removed.into());
        self.text(match &written.network.proxy {
            Proxy::None => "none",
            Proxy::Env => "env",
            Proxy::Url(url) => url.as_str(),
        });
        self.text(&path(written.main.network.ca_file.value()));
        self.text(match written.log_users {
            LogUsers::Id => "id",
            LogUsers::Name => "name",
            LogUsers::Hash => "hash",
        });
    }

    /// How the daemon is reached. Paths count as they are written: the same files mean the same in any directory.
    fn doors(&mut self, written: &Written<'_>) {
        let path = |key: &Key<Box<str>>| {
            key.value().map(|path| normal(Path::new(path.as_ref()))).unwrap_or_default()
        };
        let keys = &written.main.control;
        self.text(&path(&keys.socket));
        self.text(written.control.group.as_deref().unwrap_or_default());
        self.text(&written.control.listen.map(|listen| listen.to_string()).unwrap_or_default());
        self.text(&path(&keys.certificate_file));
        self.text(&path(&keys.key_file));
        let entries = keys.tokens.value().map(Vec::as_slice).unwrap_or_default();
        self.number(entries.len() as u64);
        for entry in entries {
            self.text(entry.name.value().map(AsRef::as_ref).unwrap_or_default());
            self.text(&path(&entry.file));
            let may = entry.may.value().copied().unwrap_or_default();
            [may.read, may.overrides, may.operate].into_iter().for_each(|right| self.number(right.into()));
            match entry.apps.value() {
                None => self.number(u64::MAX),
                Some(apps) => {
                    self.number(apps.len() as u64);
                    apps.iter().for_each(|app| self.text(&app.value));
                }
            }
        }
        self.text(&written.http.map(|http| http.listen.to_string()).unwrap_or_default());
        self.number(written.http.map_or(0, |http| http.tolerate.into()));
        self.text(written.ping.map_or("", |ping| ping.url.as_str()));
        self.number(written.ping.map_or(0, |ping| ping.every.as_secs()));
    }

    /// What came to the format after its number: it counts where it is not the default, each with a word of its own, so
    /// that a config that does without it keeps its hash.
    fn later(&mut self, written: &Written<'_>) {
        if written.daemon.watch {
            self.text("reload on a change");
        }
        for notify in written.notify {
            self.text("notify");
            self.number(notify.on.len() as u64);
            notify.on.iter().for_each(|condition| self.text(condition.word()));
            self.number(notify.hold.as_secs());
            self.number(notify.hold.subsec_nanos().into());
            self.number(notify.command.len() as u64);
            notify.command.iter().for_each(|word| self.text(word));
        }
        for group in written.groups {
            self.text("group");
            self.text(&group.name);
            self.lane(&group.lane);
            self.number(group.members.len() as u64);
            group.members.iter().for_each(|member| self.0.update(member.as_bytes()));
            if let Some(id) = &group.entra_group {
                self.text("entra_group");
                self.bytes(id.as_bytes());
            }
        }
        self.rotas(written.rotas);
    }

    fn lane(&mut self, lane: &LaneKey) {
        self.text(&lane.graph);
        self.bytes(lane.tenant.as_bytes());
        self.bytes(lane.client.as_bytes());
    }

    /// Who follows which schedules. Many follow the same: each is put into words once.
    fn rotas(&mut self, rotas: &Rotas) {
        let timetables = |at| rotas.timetable(at).map(ToString::to_string).unwrap_or_default();
        let digest = |rota: &Rota| {
            let mut canon = Canon(Sha256::new());
            canon.wish(rota.base);
            for shift in &rota.shifts {
                canon.text(&timetables(shift.timetable));
                canon.wish(shift.wish);
            }
            canon.0.finalize()
        };
        let digests: Vec<_> = rotas.rotas().iter().map(digest).collect();
        for (lane, followers) in rotas.followers() {
            self.text("schedules");
            self.lane(lane);
            self.number(followers.len() as u64);
            for (user, rota) in followers {
                self.0.update(user.as_bytes());
                self.0.update(digests[*rota as usize]);
            }
        }
    }

    fn wish(&mut self, wish: Option<Wish>) {
        let (state, minutes) = wish.map_or((0, 0), |w| (1 + w.state as u8, w.expiration.minutes()));
        self.0.update([state, minutes]);
    }

    fn apps(&mut self, apps: &Apps, sources: &Sources) {
        let mut sorted: Vec<_> = apps.admitted().collect();
        sorted.sort_by_cached_key(|app| app.app.lane());
        self.number(sorted.len() as u64);
        for admitted in sorted {
            let app = &admitted.app;
            self.text(&app.name);
            self.bytes(app.tenant.as_bytes());
            self.bytes(app.client_id.as_bytes());
            self.text(app.cloud.graph.as_str());
            self.text(app.cloud.login.as_str());
            self.way(&admitted.way, sources);
            self.text(&app.secret_expires.map(|day| day.to_string()).unwrap_or_default());
            self.number(app.cae.into());
            self.number(app.quota.requests.into());
            self.number(app.quota.per.as_secs());
            self.number(app.quota.per.subsec_nanos().into());
        }
    }

    /// What a signed-in user's file is called follows from the app's name and `state_dir`.
    fn way(&mut self, way: &Way, sources: &Sources) {
        match way {
            Way::SecretFile(path) => self.file("secret_file", path, sources),
            Way::SecretEnv(name) => {
                self.text("secret_env");
                self.text(&name.value);
            }
            Way::Certificate { certificate, key } => {
                self.file("certificate_file", certificate, sources);
                match key {
                    Some(key) => self.file("key_file", key, sources),
                    None => self.text("no key_file"),
                }
            }
            Way::FederatedTokenFile(path) => self.file("federated_token_file", path, sources),
            Way::ManagedIdentity(identity) => {
                self.text("managed_identity");
                self.text(&match identity.value {
                    Identity::SystemAssigned => "true".to_owned(),
                    Identity::UserAssigned(client_id) => client_id.to_string(),
                });
            }
            Way::SignedIn(_) => self.text("delegated"),
        }
    }

    /// A file that systemd may provide is another than one of the same name that it may not.
    fn file(&mut self, key: &str, path: &Placed<Box<str>>, sources: &Sources) {
        self.text(key);
        self.text(if is_bare(&path.value) { "bare" } else { "path" });
        self.text(&from_main(path, sources));
    }

    fn sessions(&mut self, plan: &Plan) {
        for lane in plan.lanes() {
            self.number(lane.sessions.len() as u64);
            for session in &lane.sessions {
                self.0.update(session.user.as_bytes());
                self.wish(session.wish);
                self.0.update(session.priority.to_be_bytes());
            }
        }
    }
}

/// A path as seen from the main file's directory.
fn from_main(written: &Placed<Box<str>>, sources: &Sources) -> String {
    let directory = sources.get(written.at.file).directory();
    let below = directory.strip_prefix(sources.main().directory()).unwrap_or(directory);
    normal(&below.join(written.value.as_ref()))
}

/// Without `.` and doubled slashes.
fn normal(path: &Path) -> String {
    path.components().collect::<PathBuf>().to_string_lossy().into_owned()
}
