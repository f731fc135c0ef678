//! One signal to end, with a reason, for every task of a process.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that was told twice to end: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Tells tasks to end. Clones share one signal; a [`child`](Shutdown::child) ends with its parent, and can
/// be ended alone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    reason: Arc<OnceLock<String>>,
    parent: Option<Arc<Self>>,
}

impl Shutdown {
    /// A signal that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every clone and child to end. Only the first reason is kept.
    pub fn trigger(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if !self.is_triggered() && self.reason.set(reason.clone()).is_ok() {
            tracing::info!(reason, "stopping");
        }
        self.token.cancel();
    }

    /// Returns once the signal is given.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// Whether the signal is given.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why; `None` while the signal is not given.
    pub fn reason(&self) -> Option<&str> {
        let own = self.reason.get().map(String::as_str);
        own.or_else(|| self.parent.as_deref().and_then(Self::reason))
    }

    /// A signal that is given with this one, and can be given without it.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            reason: Arc::default(),
            parent: Some(Arc::new(self.clone())),
        }
    }

    /// Gives the signal at the first SIGTERM or SIGINT. The second ends the process at once with exit code
    /// 130, for a person who does not want to wait for what hangs.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            shutdown.trigger(name);
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::error!(
                signal = name,
                "told twice to stop: ending at once, buffered data may be lost"
            );
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(())
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_ends_with_its_parent_and_alone() {
        let parent = Shutdown::new();
        let (with, alone) = (parent.child(), parent.child());
        alone.trigger("alone");
        alone.wait().await;
        assert!(!parent.is_triggered() && !with.is_triggered());
        assert_eq!((alone.reason(), with.reason()), (Some("alone"), None));

        parent.clone().trigger("all");
        parent.trigger("again");
        with.wait().await;
        assert_eq!((parent.reason(), with.reason()), (Some("all"), Some("all")));
        assert_eq!(alone.reason(), Some("alone"));
    }
}
