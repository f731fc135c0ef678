//! Who came in, who left, and who was refused: for the engine, which logs it and keeps the audit log.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use runtime::{Clock, LogLimit};

use crate::{page::Shared, watch::Notice};

/// One refusal each 10 s is told, with the number of the others; likewise of each user's logins.
const TOLD: Duration = Duration::from_secs(10);

/// What was told last.
#[derive(Debug)]
pub(in crate::page) struct Told {
    clock: Clock,
    refused: LogLimit,
    /// Of each user: there are as many as the list has had.
    entered: Mutex<HashMap<Arc<str>, LogLimit>>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            refused: LogLimit::new(TOLD),
            entered: Mutex::default(),
        }
    }
}

/// Somebody has logged in, or left.
pub(super) fn entered(shared: &Shared, name: &Arc<str>, from: Option<SocketAddr>, how: &'static str) {
    let Told { clock, entered, .. } = &shared.told;
    let mut entered = entered.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = entered.entry(Arc::clone(name)).or_insert_with(|| LogLimit::new(TOLD));
    let Some(suppressed) = limit.pass(clock.monotonic_ns()) else {
        return;
    };
    let (who, from) = (name.to_string(), text(from));
    tell(
        shared,
        Notice::Entered {
            who,
            from,
            how,
            suppressed,
        },
    );
}

/// Somebody may not do what they have asked for.
pub(super) fn tell_refused(shared: &Shared, from: Option<SocketAddr>, user: Option<&str>, why: &str) {
    let Told { clock, refused, .. } = &shared.told;
    let Some(suppressed) = refused.pass(clock.monotonic_ns()) else {
        return;
    };
    // A name from the network, short enough for a line and without what would end it.
    let user = user.map(|user| {
        user.chars()
            .filter(|letter| !letter.is_control())
            .take(64)
            .collect::<String>()
    });
    let why = user.map_or_else(|| why.to_owned(), |user| format!("{user}: {why}"));
    let from = text(from);
    tell(shared, Notice::Refused { from, why, suppressed });
}

fn text(from: Option<SocketAddr>) -> String {
    from.map(|address| address.to_string()).unwrap_or_default()
}

/// An engine that is busy is not told.
fn tell(shared: &Shared, notice: Notice) {
    if let Err(untold) = shared.page.acknowledge.try_send(notice) {
        let notice = untold.into_inner();
        tracing::warn!(?notice, "the brain is too busy to note it");
    }
}
