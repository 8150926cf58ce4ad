//! From what is written to what it means: the settings and the plan, and all that takes more than one table to see.

mod apps;
mod azure;
mod check;
mod credential;
mod doors;
mod groups;
mod hash;
mod meant;
mod named;
mod notify;
mod people;
mod proof;
mod rows;
mod says;
mod schedules;
mod table;
mod users;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::directory::{Asks, Known};
use super::environment::Environment;
use super::file::Contents;
use super::problem::Problem;
use super::read::Key;
use super::rota::Rotas;
use super::settings::{DaemonSettings, LogUsers, Network, OnStop, Proxy, Settings, StartWith};
use super::source::{FileIx, Sources};
use crate::keeper::id::LaneKey;
use crate::keeper::{OnRemove, Plan};

use table::Used;

pub(super) use doors::SOCKET as CONTROL_SOCKET;

/// How many problems of a kind that may be as many as the rows of a CSV file are listed; the others are counted.
const LISTED_MAX: usize = 20;

/// What was admitted.
pub(super) struct Admitted {
    pub(super) settings: Settings,
    pub(super) plan: Plan,
    pub(super) rotas: Rotas,
    /// What was asked for of each CSV file.
    pub(super) used: BTreeMap<FileIx, Used>,
    /// What is asked of the directories.
    pub(super) asks: Asks,
    /// User principal names of users who are written otherwise, too.
    pub(super) doubled: Vec<(LaneKey, Box<str>)>,
}

/// What the contents mean; nothing where something is too wrong to go on. `contents` are those of `sources`, one for
/// one, but for CSV files at the end. `complete`: nothing was lost to a syntax error or an unreadable file, so what is missing is really missing.
pub(super) fn admit(
    contents: &[Contents],
    sources: &Sources,
    complete: bool,
    environment: Option<&Environment<'_>>,
    known: Known<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Admitted> {
    let main = contents.first()?;
    let daemon = daemon(main, sources);
    let network = network(main, sources);
    let around = apps::Around { sources, state_dir: &daemon.state_dir, complete, environment };
    let apps = apps::admit(contents, &around, problems);
    let control = doors::control(main, sources, &apps, problems);
    let http = doors::http(main, problems);
    let notify = notify::notify(main, problems);
    let ping = main.ping.admit(problems);
    let schedules = schedules::admit(contents, sources, problems);
    let among = users::Among { contents, sources, apps: &apps, schedules: &schedules, known, complete };
    let users::Users { sessions, people, used, groups, courses, named, .. } = users::admit(among, problems);
    if complete {
        schedules.unused(problems);
    }
    meant::check(&courses, meant::ANY_DAY, problems);
    if let Some(environment) = environment.filter(|environment| environment.looked_into) {
        check::environment(main, &network, &apps, environment, problems);
        notify::check(main, problems);
    }
    let people = people.into_map();
    let plan = Plan::new(apps.lanes(sessions));
    let (rotas, groups) = (courses.into_rotas(apps.keys()), groups.into_settings(&apps.keys()));
    check::funding(&plan, &apps, problems);
    let log_users = main.log_users.value().copied().unwrap_or(LogUsers::Id);
    let written = hash::Written {
        main,
        daemon: &daemon,
        control: &control,
        http: http.as_ref(),
        ping: ping.as_ref(),
        network: &network,
        log_users,
        notify: &notify,
        people: &people,
        groups: &groups,
        rotas: &rotas,
    };
    let hash = hash::of(&written, &apps, &plan, sources);
    let settings = Settings {
        daemon,
        control,
        http,
        ping,
        network,
        log_users,
        notify,
        apps: apps.into_settings(&plan),
        people,
        groups,
        hash,
    };
    let named::Named { asks, doubled, .. } = named;
    Some(Admitted { settings, plan, rotas, used, asks, doubled })
}

fn daemon(main: &Contents, sources: &Sources) -> DaemonSettings {
    let written = &main.daemon;
    DaemonSettings {
        state_dir: relative(&written.state_dir, sources).unwrap_or_else(|| "/var/lib/presenced".into()),
        on_stop: written.on_stop.value().copied().unwrap_or(OnStop::Leave),
        stop_timeout: written.stop_timeout.value().copied().unwrap_or(Duration::from_secs(10)),
        on_remove: written.on_remove.value().copied().unwrap_or(OnRemove::Clear),
        max_removed: written.max_removed.value().copied().unwrap_or(20),
        start_with: written.start_with.value().copied().unwrap_or(StartWith::LastGood),
        watch: written.watch.value().copied().unwrap_or(false),
    }
}

fn network(main: &Contents, sources: &Sources) -> Network {
    Network {
        proxy: main.network.proxy.value().cloned().unwrap_or(Proxy::None),
        ca_file: relative(&main.network.ca_file, sources),
    }
}

/// A path, relative to the main file.
fn relative(path: &Key<Box<str>>, sources: &Sources) -> Option<PathBuf> {
    path.value().map(|path| sources.main().directory().join(path.as_ref()))
}
