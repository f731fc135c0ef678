//! The end of a process that holds all parts: in order, and within five seconds from the signal.

use std::time::Duration;

use anyhow::Context;
use runtime::Shutdown;
use tokio::time::{Instant, timeout_at};

/// When each must have ended, from the begin of the end. The brain has the most to do, and all that the agents
/// need not.
const AGENTS: Duration = Duration::from_millis(1_500);
const BRAIN: Duration = Duration::from_millis(4_300);
const BROKER: Duration = Duration::from_millis(4_900);

/// Brain and broker, and their signals.
pub(crate) struct Core {
    pub(crate) brain: brain::Handle,
    pub(crate) brain_stop: Shutdown,
    pub(crate) broker: broker::Handle,
    pub(crate) broker_stop: Shutdown,
}

/// Ends the agents first, so that what they have told is taken in and flushed before the broker goes.
///
/// # Errors
/// Why a part has not ended well, or in time; the others are ended all the same.
pub(crate) async fn in_order<F>(agents: F, core: Core) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let begin = Instant::now();
    let Core { brain, mut broker, .. } = core;
    let agents = timeout_at(begin + AGENTS, agents).await;
    core.brain_stop.trigger("stop");
    let brain = timeout_at(begin + BRAIN, brain.join()).await;
    core.broker_stop.trigger("stop");
    let broker = timeout_at(begin + BROKER, broker.ended()).await;
    agents.context("the agent does not stop")??;
    brain.context("the brain does not stop")??;
    Ok(broker.context("the broker does not stop")??)
}
