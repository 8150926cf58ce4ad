//! How long to wait for what must happen, and looking again until then.

use std::time::{Duration, Instant};

/// Nothing here takes this long, on a busy machine either; what does has gone wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);

/// Looks again until there is something to see, and returns it.
///
/// # Panics
/// When it has not come within [`PATIENCE`].
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// The same with another deadline.
///
/// # Panics
/// When it has not come in that time.
pub async fn until_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(GLANCE).await;
    }
}
