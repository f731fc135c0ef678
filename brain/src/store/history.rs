//! Reading the durable past, beside the task that writes: what memory does not reach back to.

use std::sync::Arc;

use shadow::UnixMs;

use super::{StoreError, StoredRow};

/// Reads the durable past of one host after the other, oldest row first. It blocks: only for threads that may wait.
pub(crate) trait History {
    /// All hosts of which anything is durable, by name.
    ///
    /// # Errors
    /// What the database answers.
    fn hosts(&mut self) -> Result<Vec<Arc<str>>, StoreError>;

    /// Rows of the grid of `host` that begin from `since_ms` on, before `until_ms`.
    ///
    /// # Errors
    /// What the database answers.
    fn rows(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError>;

    /// Minutes of `host`, or rows of the grid where these are longer.
    ///
    /// # Errors
    /// What the database answers.
    fn minutes(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError>;
}

/// From when and before when, in unix milliseconds.
pub(crate) type Span = std::ops::Range<UnixMs>;

/// Opens the durable past; a reader is opened, used and closed again.
pub(crate) type Open = Arc<dyn Fn() -> Result<Box<dyn History>, StoreError> + Send + Sync>;

#[cfg(test)]
mod tests;
