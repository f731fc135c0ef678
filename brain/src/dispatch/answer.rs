//! Which answers of an agent to one command are news.

use shadow::{Outcome, OutcomeState};

/// Whether `later` may come after `known`: what was obeyed ends, and what has ended stays so, whoever tells the past
/// again. An agent that was told a command again after its restart refuses it; that was done what was done stays true.
pub(super) fn follows(known: &Outcome, later: &Outcome) -> bool {
    let obeyed = matches!(known.state, OutcomeState::Applied | OutcomeState::DryRun) || since(known.state);
    let ended = matches!(later.state, OutcomeState::Expired | OutcomeState::Failed);
    // What holds may be raised, or hurt, more than once.
    let moved = since(later.state) && (!since(known.state) || later.time_ms > known.time_ms);
    obeyed && (ended || moved)
}

/// Whether a command holds, but for what the agent has done by itself since.
const fn since(state: OutcomeState) -> bool {
    matches!(state, OutcomeState::Raised | OutcomeState::Hurt)
}
