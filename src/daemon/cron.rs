//! Periodic prompts, on tokio-cron-scheduler: few UTC jobs, added before the start, that carry nothing. What a prompt
//! leads to is computed from what is in force then, so one that comes late, twice or not at all does no harm.
//!
//! Prompts are in the world's time, also for a fast clock. The scheduler goes by the wall clock: one that is set back by
//! an hour, as a machine that boots with a wrong one does, would leave it silent for that hour, so it is begun anew then.

use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::clock::Clock;
use super::driver::Command;
use crate::keeper::MonoTime;

/// Seconds, minutes, hours, day of month, month, day of week.
const EVERY_MINUTE: &str = "0 * * * * *";
const EVERY_FIVE_SECONDS: &str = "*/5 * * * * *";
const EVERY_DAY: &str = "0 0 0 * * *";

/// How often it is looked whether the wall clock was set back.
const LOOK: Duration = Duration::from_secs(5);

/// Prompts that run until this is dropped or stopped.
pub struct Prompts {
    stop: oneshot::Sender<()>,
    keeping: JoinSet<()>,
}

impl Prompts {
    /// Starts to prompt.
    ///
    /// # Errors
    /// When the scheduler does not start.
    pub async fn start(to: &mpsc::Sender<Command>) -> Result<Self, JobSchedulerError> {
        let scheduler = begin(to).await?;
        let (stop, stopped) = oneshot::channel();
        let mut keeping = JoinSet::new();
        keeping.spawn(keep(scheduler, to.clone(), stopped));
        Ok(Self { stop, keeping })
    }

    /// Ends them.
    pub async fn stop(mut self) {
        drop(self.stop);
        // The process ends next; a scheduler that does not stop changes nothing.
        let _ = self.keeping.join_next().await;
    }
}

async fn begin(to: &mpsc::Sender<Command>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (schedule, prompt) in [
        (EVERY_MINUTE, (|| Command::Summary) as fn() -> Command),
        (EVERY_MINUTE, || Command::Sweep),
        // A changed credential is to be noticed within 10 s.
        (EVERY_FIVE_SECONDS, || Command::CheckCredentials),
        // At a start the driver looks by itself.
        (EVERY_DAY, || Command::CheckEnds),
    ] {
        let to = to.clone();
        let job = Job::new_async(schedule, move |_, _| {
            // A full channel has enough to do; the next prompt comes.
            let _ = to.try_send(prompt());
            Box::pin(async {})
        })?;
        scheduler.add(job).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

/// Begins the scheduler anew when the wall clock was set back, until it is told to stop.
async fn keep(mut scheduler: JobScheduler, to: mpsc::Sender<Command>, mut stopped: oneshot::Receiver<()>) {
    let clock = Clock::real();
    let mut wall = Wall::new(clock.wall(), clock.now());
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = clock.sleep(LOOK) => {}
        }
        // One that does not begin leaves the old one in its place, which goes on in its time.
        if wall.was_set_back(clock.wall(), clock.now())
            && let Ok(next) = begin(&to).await
        {
            let _ = std::mem::replace(&mut scheduler, next).shutdown().await;
        }
    }
    let _ = scheduler.shutdown().await;
}

/// The wall clock, seen from the monotonic one.
struct Wall {
    shown: SystemTime,
    at: MonoTime,
}

impl Wall {
    /// A step of less is made up for by the next prompt but one.
    const STEP: Duration = Duration::from_secs(1);

    fn new(shown: SystemTime, at: MonoTime) -> Self {
        Self { shown, at }
    }

    /// Whether it shows less than it should since it was looked at last.
    fn was_set_back(&mut self, shown: SystemTime, at: MonoTime) -> bool {
        let due = self.shown + at.since(self.at);
        *self = Self { shown, at };
        shown + Self::STEP < due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_back_is_noticed_once() {
        let (epoch, start) =
            (SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), MonoTime::from_secs(7));
        let secs = Duration::from_secs;
        let mut wall = Wall::new(epoch, start);
        let mut looks = |shown: u64, at: u64| wall.was_set_back(epoch + secs(shown), start + secs(at));
        assert!(!looks(5, 5), "it goes on");
        assert!(!looks(3_610, 10), "set forward: what is due comes at once");
        assert!(looks(15, 15), "set back");
        assert!(!looks(20, 20), "it goes on from there");
        assert!(!looks(24, 25), "slowed down by less than a step");
    }

    #[tokio::test]
    async fn prompts_end_when_they_are_told_to() {
        let (to, _inbox) = mpsc::channel(8);
        let prompts = Prompts::start(&to).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), prompts.stop()).await.expect("they end");
    }
}
