//! How far a training is, on a bar.

use std::ops::ControlFlow;

use forecast::Progress;
use runtime::bar::Bar;

/// Tells it; nobody watching is no reason to end the training.
pub(crate) fn train(bar: &Bar, progress: Progress) -> ControlFlow<()> {
    let Progress { part, done, of, loss } = progress;
    let loss = loss.map_or(String::new(), |loss| format!(", loss {loss:.4}"));
    bar.tell(done, of, &format!("{}{loss}", part.as_str()));
    ControlFlow::Continue(())
}
