//! Tells others what is wrong, by running the commands of `[[notify]]`.
//!
//! Once a second the figures say what is wrong (`conditions`), a state machine whom that is news to (`machine`), and
//! what is to be run is run (`run`): one at a time for a `[[notify]]`, so that a beginning is told before its end, and
//! a few at a time in all. It sends the driver one bounded question for a notice, and never waits for it with anything
//! else: no command, however it behaves, holds up a session.

mod conditions;
mod machine;
mod run;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::clock::Clock;
use super::driver::{Command, Looked};
use super::figures::Figures;
use super::health;
use super::logging::{self, People};
use super::wall;
use crate::config::notify::{Condition, Notify};
use crate::keeper::snapshot::Phase;
use machine::{Due, Machine};

/// Commands that run at a time.
const RUNNING_MAX: usize = 4;
/// Notices that wait for that. With one a second, and commands that hang, it takes minutes until there are more.
const WAITING_MAX: usize = 100;
/// Users that a notice names.
const USERS_MAX: usize = 10;
/// Sessions that are looked at for them: those that stand worst.
const LOOKED_AT: usize = 200;
/// How long that may take, in the world's time.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What tells others.
#[derive(Debug)]
pub struct Notices {
    /// How the daemon stands.
    pub figures: watch::Receiver<Arc<Figures>>,
    /// Where it is asked about sessions.
    pub commands: mpsc::Sender<Command>,
    /// Whose time it is.
    pub clock: Clock,
}

/// What waits, and what runs.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Due, Arc<Figures>)>,
    running: JoinSet<Arc<Notify>>,
    /// By whom.
    busy: Vec<Arc<Notify>>,
    /// It was said that there are too many.
    overflowing: bool,
}

impl Notices {
    /// Tells what is to be told, until the daemon ends. What holds then is told again after the next start.
    pub async fn keep(mut self) {
        let mut machine = Machine::default();
        let mut queue = Queue::default();
        loop {
            tokio::select! {
                published = self.figures.changed() => {
                    if published.is_err() {
                        return;
                    }
                    let figures = Arc::clone(&self.figures.borrow_and_update());
                    // While it starts, sessions are on their way, and while it stops, they are to end.
                    if health::is_ready(&figures) {
                        let rules = &figures.accepted.settings.notify;
                        let holds = conditions::of(&figures);
                        for due in machine.step(rules, figures.at, figures.wall, holds) {
                            queue.push(due, &figures);
                        }
                    }
                }
                Some(ended) = queue.running.join_next() => queue.ended(ended.ok()),
            }
            while let Some((due, figures)) = queue.next() {
                let (commands, clock) = (self.commands.clone(), self.clock.clone());
                queue.running.spawn(async move {
                    tell(&due, &figures, &commands, &clock).await;
                    due.notify
                });
            }
        }
    }
}

impl Queue {
    fn push(&mut self, due: Due, figures: &Arc<Figures>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((due, Arc::clone(figures)));
        } else if !std::mem::replace(&mut self.overflowing, true) {
            logging::notices_dropped(WAITING_MAX);
        }
    }

    /// The next one that may be told now.
    fn next(&mut self) -> Option<(Due, Arc<Figures>)> {
        if self.running.len() >= RUNNING_MAX {
            return None;
        }
        let free = |(due, _): &(Due, Arc<Figures>)| !self.busy.contains(&due.notify);
        let at = self.waiting.iter().position(free)?;
        let next = self.waiting.remove(at)?;
        self.busy.push(Arc::clone(&next.0.notify));
        self.overflowing &= !self.waiting.is_empty();
        Some(next)
    }

    fn ended(&mut self, notify: Option<Arc<Notify>>) {
        match notify {
            Some(notify) => self.busy.retain(|busy| *busy != notify),
            None => {
                logging::task_panicked("notify");
                // Whose it was is not known: what runs beside it may then run twice at a time.
                self.busy.clear();
            }
        }
    }
}

/// Runs the command, and says how that went.
async fn tell(due: &Due, figures: &Figures, commands: &mpsc::Sender<Command>, clock: &Clock) {
    let users = match (due.state, due.key.0) {
        (machine::State::Begin, Condition::Lapsed | Condition::Parked) => {
            let worst = ask_for_worst(commands);
            tokio::select! {
                worst = worst => users(due, figures, &worst),
                () = clock.sleep_real(LOOK_PATIENCE) => Vec::new(),
            }
        }
        _ => Vec::new(),
    };
    let mut text = json_of(due, figures, &users).to_string();
    text.push('\n');
    let (result, output) = run::run(&due.notify.command, &text, clock).await;
    let program = due.notify.command.first().map(AsRef::as_ref).unwrap_or_default();
    let (event, app) = (due.key.0.word(), due.key.1.as_deref());
    match result {
        Ok(()) => logging::notified(event, due.state.word(), app, program),
        Err(error) => logging::notify_failed(event, due.state.word(), app, program, &error, output),
    }
}

async fn ask_for_worst(commands: &mpsc::Sender<Command>) -> Vec<Looked> {
    let (to, answer) = oneshot::channel();
    // A daemon that is ending has nothing more to say.
    let _ = commands.send(Command::Worst { limit: LOOKED_AT, app: None, to }).await;
    answer.await.map(|(_, worst)| worst).unwrap_or_default()
}

/// The first users that a notice is about, as the log shows them.
fn users(due: &Due, figures: &Figures, worst: &[Looked]) -> Vec<String> {
    let settings = &figures.accepted.settings;
    let lanes = &figures.snapshot.lanes;
    let of_app = |looked: &&Looked| {
        lanes.iter().any(|lane| lane.key == looked.whom.lane && due.key.1.as_ref() == Some(&lane.name))
    };
    let meant = |looked: &&Looked| {
        let phase = looked.view.as_ref().map(|view| view.phase);
        match due.key.0 {
            Condition::Parked => matches!(phase, Some(Phase::Parked(_))),
            _ => phase == Some(Phase::Lapsed),
        }
    };
    let users = worst.iter().filter(of_app).filter(meant).take(USERS_MAX);
    users.map(|looked| People::shown(settings, looked.whom.user)).collect()
}

/// What the command is told.
fn json_of(due: &Due, figures: &Figures, users: &[String]) -> Value {
    json!({
        "event": due.key.0.word(),
        "state": due.state.word(),
        "app": due.key.1.as_deref(),
        "since": wall::text(due.since),
        "held_s": due.held.as_secs(),
        "count": due.facts.count,
        "users": users,
        "detail": due.facts.detail,
        "advice": due.facts.advice,
        "config": figures.config.to_string(),
        "host": rustix::system::uname().nodename().to_string_lossy(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}
