//! What is due each second: sessions and wills that time ends, and a journal that has grown too long.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{router::Gone, shared::Shared};

const EVERY: Duration = Duration::from_secs(1);

/// How often, in ticks, all that holds is written after the disk has failed, and expired retained messages are looked for.
const JOURNAL: u64 = 10;
const RETAINED: u64 = 60;

/// Does it for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 0_u64.. {
        ticks.tick().await;
        let wills = shared.exchange().tick();
        for will in wills {
            // The broker ends, and nobody waits for the will.
            if let Err(Gone) = shared.router.send(will).await {
                tracing::debug!("will is lost with the router");
            }
        }
        if count % JOURNAL == 0 && shared.journal.wants_all() {
            shared.exchange().tell_all();
        }
        if count % RETAINED == 0 {
            shared.exchange().expire_retained();
        }
    }
}
