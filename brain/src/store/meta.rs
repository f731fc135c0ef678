//! Keys of single values.

/// The issuer epoch of the last brain, in microseconds.
pub(crate) const ISSUER_EPOCH: &str = "issuer_epoch";
/// End of the newest closed row of the grid, in unix milliseconds.
pub(crate) const CLOSED_MS: &str = "grid_closed_ms";
/// Width of a row, in milliseconds.
pub(crate) const STEP_MS: &str = "grid_step_ms";
/// Begin of the first row ever, in unix milliseconds.
pub(crate) const FIRST_ROW_MS: &str = "grid_first_row_ms";
/// Reservations and requests that wait, as JSON.
pub(crate) const ALLOCATION: &str = "allocation";
/// The model in service, as JSON.
pub(crate) const MODEL: &str = "model";
/// Who has frozen the cell, as JSON.
pub(crate) const FREEZE: &str = "freeze";
/// What waits for somebody's word, and what did, as JSON.
pub(crate) const PROPOSALS: &str = "proposals";
/// What violations and changes are priced with by resource, as JSON.
pub(crate) const PRICES: &str = "prices";
/// The highest reservations of seven days, as JSON.
pub(crate) const HIGHEST: &str = "highest";
/// How good forecasts were over the last days, as JSON.
pub(crate) const QUALITY: &str = "quality";
/// What outcomes taught, as JSON.
pub(crate) const FEEDBACK: &str = "feedback";
/// The mark of the last batch, where a database is on a server.
pub(crate) const LAST_BATCH: &str = "last_batch";
/// What tells the words and views of a server's database from those of another version.
pub(crate) const DESCRIBED: &str = "described";
