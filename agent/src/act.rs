//! Levers: what a change of an allocation is made with.
//!
//! | lever | does |
//! |---|---|
//! | [`dry_run`] | finds the present limit and tells what it would write |

use shadow::ChangeOutcome;

use crate::guard::Ruling;

pub mod dry_run;

/// Carries out changes that the guard let through.
pub trait Lever: Send {
    /// Carries out one change, or tells what it would have done, and what it found. `ruling` is not refused.
    fn pull(&mut self, ruling: &Ruling) -> ChangeOutcome;

    /// Makes everything that the command `id` changed what it was before, and tells what that is. A lever
    /// that changes nothing has nothing to do.
    fn release(&mut self, id: &str) -> Vec<ChangeOutcome> {
        tracing::debug!(id, "nothing to take back");
        Vec::new()
    }
}
