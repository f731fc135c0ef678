//! Writes nothing: finds the present limit, and tells what would be written where.

use shadow::ChangeOutcome;

use super::Lever;
use crate::guard::Ruling;

/// Tells what it would have done.
#[derive(Debug, Default)]
pub struct DryRun {}

impl Lever for DryRun {
    fn pull(&mut self, ruling: &Ruling) -> ChangeOutcome {
        let change = &ruling.change;
        ChangeOutcome {
            workload: change.workload.clone(),
            resource: change.resource,
            before: change.before,
            after: Some(change.target),
            lever: String::new(),
            note: ruling.note.clone(),
        }
    }
}
