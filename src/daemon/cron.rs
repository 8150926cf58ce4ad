//! Periodic prompts, on tokio-cron-scheduler: few UTC jobs, added before the start, that carry nothing. What a prompt
//! leads to is computed from what is in force then, so one that comes late, twice or not at all does no harm.
//!
//! Prompts are in the world's time, also for a fast clock.

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::driver::Command;

/// Seconds, minutes, hours, day of month, month, day of week.
const EVERY_MINUTE: &str = "0 * * * * *";
const EVERY_FIVE_SECONDS: &str = "*/5 * * * * *";

/// Prompts that run until this is dropped or shut down.
pub struct Prompts {
    scheduler: JobScheduler,
}

impl Prompts {
    /// Starts to prompt.
    ///
    /// # Errors
    /// When the scheduler does not start.
    pub async fn start(to: &mpsc::Sender<Command>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        for (schedule, prompt) in [
            (EVERY_MINUTE, (|| Command::Summary) as fn() -> Command),
            (EVERY_MINUTE, || Command::Sweep),
            // A changed credential is to be noticed within 10 s.
            (EVERY_FIVE_SECONDS, || Command::CheckCredentials),
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
        Ok(Self { scheduler })
    }

    /// Ends them.
    pub async fn stop(mut self) {
        // The process ends next; a scheduler that does not stop changes nothing.
        let _ = self.scheduler.shutdown().await;
    }
}
