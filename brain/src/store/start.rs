//! Opening a store that may not be ready: a server that starts itself, as after a loss of power; a file that another
//! program holds; a disk that is full.

use std::{future::Future, time::Duration};

use runtime::Shutdown;
use tokio::time::{Instant, sleep};

use super::{Recovered, Since, Store, StoreError};

/// How long a start waits for its store, and how often it tries.
pub(crate) const PATIENCE: Patience = Patience {
    all: Duration::from_mins(5),
    pause: Duration::from_secs(2),
};

/// How long is waited altogether, and between two tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Altogether.
    pub(crate) all: Duration,
    /// Between two tries.
    pub(crate) pause: Duration,
}

/// Opens a store and reads back what it has.
///
/// # Errors
/// What no waiting helps against at once, anything else once patience or the brain has ended.
pub(crate) async fn ready<S: Store, F>(
    open: impl Fn() -> F,
    since: Since,
    patience: Patience,
    shutdown: &Shutdown,
) -> Result<(S, Recovered), StoreError>
where
    F: Future<Output = Result<S, StoreError>>,
{
    let end = Instant::now() + patience.all;
    loop {
        match read(open(), since).await {
            Err(error) if error.is_transient() && Instant::now() < end && !shutdown.is_triggered() => {
                tracing::warn!(%error, "the brain starts when its database is ready");
            }
            ready => return ready,
        }
        tokio::select! {
            () = sleep(patience.pause) => {}
            () = shutdown.wait() => {}
        }
    }
}

async fn read<S: Store>(
    opening: impl Future<Output = Result<S, StoreError>>,
    since: Since,
) -> Result<(S, Recovered), StoreError> {
    let mut store = opening.await?;
    let recovered = store.recover(since).await?;
    Ok((store, recovered))
}

#[cfg(test)]
mod tests;
