//! A change of the config's files as a prompt to read them again (`reload = ["sighup", "watch"]`).
//!
//! What changed is found by comparing: how the files look with how they looked when the daemon read them, and what is in
//! them. The kernel's events are prompts to compare, and so is a minute, for file systems that send none. So it does not
//! matter how a file is written: in place, renamed over, through a symlink that is swapped. What is being written is
//! left alone until it has been quiet for a while, and one content is taken, or refused, once.
//!
//! It never reads a config: it asks for a reload, as a signal does.

mod inotify;
mod places;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::driver::{Command, ReloadAsk};
use super::figures::Figures;
use super::logging;
use crate::config::{Contents, Footprint, Stamps};
use inotify::Inotify;

/// Files must not have changed for so long, in the world's time, before they are read.
const QUIET: Duration = Duration::from_millis(500);
/// How long a file that somebody has open and wrote to is left alone at the most, in the world's time.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// Between two looks where nothing prompts one.
const POLL: Duration = Duration::from_secs(60);

/// What waits for changes.
#[derive(Debug)]
pub struct Watch {
    /// What was read last, whoever wanted it.
    pub seen: watch::Receiver<Arc<Footprint>>,
    /// How the daemon stands: whether the config wants this at all.
    pub figures: watch::Receiver<Arc<Figures>>,
    /// Where a reload is asked for.
    pub commands: mpsc::Sender<Command>,
    /// Whose time it is.
    pub clock: Clock,
}

/// The daemon has ended.
struct Over;

/// The files that the daemon knows: as they were when it read them, or as they were found to hold the same.
struct Known {
    footprint: Arc<Footprint>,
    stamps: Stamps,
    /// What is in them; `None`: they changed before that could be seen.
    contents: Option<Contents>,
}

impl Watch {
    /// Asks for a reload whenever the files have changed, while the config in force wants that, until the daemon ends.
    pub async fn keep(mut self) {
        while self.figures.wait_for(|figures| figures.accepted.settings.daemon.watch).await.is_ok() {
            if self.keep_on().await.is_err() {
                return;
            }
        }
    }

    /// The same until the config in force no longer wants it.
    async fn keep_on(&mut self) -> Result<(), Over> {
        let mut inotify = Inotify::new().inspect_err(logging::watch_limited).ok();
        let mut known = self.last_read().await;
        logging::watching(known.stamps.files().len());
        loop {
            if !Arc::ptr_eq(&known.footprint, &self.seen.borrow_and_update()) {
                known = self.last_read().await;
            }
            let stamps = self.look(&known.footprint, &mut inotify).await;
            if !self.figures.borrow().accepted.settings.daemon.watch {
                return Ok(());
            }
            if stamps == known.stamps {
                self.prompt(&mut inotify).await?;
            } else {
                self.changed(&mut known, stamps, &mut inotify).await?;
            }
        }
    }

    /// What the daemon read last.
    async fn last_read(&mut self) -> Known {
        let footprint = Arc::clone(&self.seen.borrow_and_update());
        let (stamps, of) = (footprint.stamps().clone(), Arc::clone(&footprint));
        let unchanged = blocking(move || {
            let contents = of.stamps().read();
            (&of.look() == of.stamps()).then_some(contents)
        });
        let contents = unchanged.await.flatten();
        Known { footprint, stamps, contents }
    }

    /// How the files look now. From before that on, events of where they are come in.
    async fn look(&self, footprint: &Arc<Footprint>, inotify: &mut Option<Inotify>) -> Stamps {
        let (watcher, of) = (inotify.as_ref().map(Inotify::watcher), Arc::clone(footprint));
        let looked = blocking(move || {
            let watched = watcher.map(|watcher| watcher.watch(places::of(&of)));
            (watched, of.look())
        });
        let Some((watched, stamps)) = looked.await else { return footprint.stamps().clone() };
        if let (Some(inotify), Some(watched)) = (inotify, watched) {
            inotify.heed(watched);
        }
        stamps
    }

    /// Returns when it is time for another look.
    async fn prompt(&mut self, inotify: &mut Option<Inotify>) -> Result<(), Over> {
        let news = async {
            match inotify {
                Some(inotify) => inotify.news().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What is written is seldom written at one blow; and a directory where much happens is looked at twice a
            // second, not a thousand times.
            () = news => self.clock.sleep_real(QUIET).await,
            () = self.clock.sleep(POLL) => {}
            read = self.seen.changed() => read.map_err(|_| Over)?,
            () = self.commands.closed() => return Err(Over),
        }
        Ok(())
    }

    /// The files look different: waits until nobody writes, and asks for a reload if they hold something else.
    async fn changed(
        &mut self,
        known: &mut Known,
        mut stamps: Stamps,
        inotify: &mut Option<Inotify>,
    ) -> Result<(), Over> {
        let (began, mut contents) = (self.clock.now(), None);
        loop {
            let held = inotify.as_mut().is_some_and(|inotify| inotify.writes(&stamps));
            let held = held && self.clock.real_span(self.clock.now().since(began)) < HOLD_MAX;
            let before = std::mem::replace(&mut contents, read(&stamps).await);
            tokio::select! {
                () = self.clock.sleep_real(QUIET) => {}
                () = self.commands.closed() => return Err(Over),
            }
            if !Arc::ptr_eq(&known.footprint, &self.seen.borrow()) {
                // Somebody else wanted a reload meanwhile.
                return Ok(());
            }
            let now = self.look(&known.footprint, inotify).await;
            let same = now == stamps && before.is_some() && before == contents;
            stamps = now;
            if same && !held {
                break;
            }
        }
        if known.contents.is_none() || known.contents != contents {
            self.reload().await?;
        }
        let read = Arc::clone(&self.seen.borrow_and_update());
        // Where other files were read than these, it is looked anew what is in them. Where none were, as at the end of
        // the daemon, that must not be asked for again.
        if Arc::ptr_eq(&known.footprint, &read) || *read.stamps() == stamps {
            *known = Known { footprint: read, stamps, contents };
        }
        Ok(())
    }

    async fn reload(&self) -> Result<(), Over> {
        let (to, answer) = oneshot::channel();
        let ask = ReloadAsk { who: Some("watch".into()), to: Some(to), ..ReloadAsk::default() };
        self.commands.send(Command::Reload(ask)).await.map_err(|_| Over)?;
        // What came of it, the log says.
        let _ = answer.await;
        Ok(())
    }
}

async fn read(stamps: &Stamps) -> Option<Contents> {
    let stamps = stamps.clone();
    blocking(move || stamps.read()).await
}

/// What takes its time on a disk, on a thread of its own; nothing when it panics.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let done = tokio::task::spawn_blocking(work).await;
    if done.is_err() {
        logging::task_panicked("watch");
    }
    done.ok()
}
