//! Who came in, who left, and who was refused: for the engine, which logs it and keeps the audit log.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use runtime::{Clock, LogLimit};

use crate::{page::Shared, watch::Notice};

/// One refusal each 10 s is told, with the number of the others; likewise of a user's logins from one address.
const TOLD: Duration = Duration::from_secs(10);
/// Users and addresses that are remembered for it.
const MOST: usize = 4_096;

/// A user, their address, and what they did.
type Who = (Arc<str>, String, &'static str);

/// What was told last.
#[derive(Debug)]
pub(in crate::page) struct Told {
    clock: Clock,
    refused: LogLimit,
    entered: Mutex<HashMap<Who, LogLimit>>,
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
pub(super) fn entered(shared: &Shared, name: &Arc<str>, from: &str, how: &'static str) {
    let Told { clock, entered, .. } = &shared.told;
    let mut entered = entered.lock().unwrap_or_else(PoisonError::into_inner);
    if entered.len() >= MOST {
        entered.clear();
    }
    // Each connection has another port.
    let address = from
        .parse()
        .map_or(from.to_owned(), |from: SocketAddr| from.ip().to_string());
    let limit = entered
        .entry((Arc::clone(name), address, how))
        .or_insert_with(|| LogLimit::new(TOLD));
    let Some(suppressed) = limit.pass(clock.monotonic_ns()) else {
        return;
    };
    let (who, from) = (name.to_string(), from.to_owned());
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
pub(super) fn tell_refused(shared: &Shared, from: &str, user: Option<&str>, why: &str) {
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
    let from = from.to_owned();
    tell(shared, Notice::Refused { from, why, suppressed });
}

/// An engine that is busy is not told.
fn tell(shared: &Shared, notice: Notice) {
    if let Err(untold) = shared.page.acknowledge.try_send(notice) {
        let notice = untold.into_inner();
        tracing::warn!(?notice, "the brain is too busy to note it");
    }
}
