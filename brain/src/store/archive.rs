//! What agents and brain told each other, read out of a database without touching it.
//!
//! Any version of the schema is read as it stands: a table that is not there has no rows. A brain may go on writing
//! meanwhile.

use std::ops::ControlFlow;

use shadow::{Birth, Command, EpochMark, Event, Frame, Hole, Outcome, Vantage};

use super::{
    StoreError,
    reader::{Database, Reader, ask},
};

/// One row.
#[derive(Debug)]
pub struct Entry {
    /// Which host tells it, or is told it; `None` where the database does not say.
    pub host: Option<String>,
    /// From where the host is seen; `None` for commands and outcomes.
    pub vantage: Option<Vantage>,
    /// The table, in the singular.
    pub kind: &'static str,
    /// What it says, or why it cannot be read.
    pub stored: Result<Stored, String>,
}

/// What a row says.
#[derive(Debug)]
pub enum Stored {
    /// A birth.
    Birth(Box<Birth>),
    /// A frame.
    Frame(Frame),
    /// An event.
    Event(Event),
    /// What is durable of one epoch.
    Watermark(EpochMark),
    /// Sequences that nobody has.
    Hole(Hole),
    /// A command.
    Command(Command),
    /// An outcome.
    Outcome(Outcome),
}

/// Hands every row that a database holds of `hosts` (of all, where none is named) to `each`, host by host, until it breaks; before
/// each host `tell` hears how many are done, of how many.
///
/// # Errors
/// [`StoreError`] when the database cannot be opened or read, or is none of a brain.
pub async fn read<B>(
    database: &Database,
    hosts: &[String],
    mut tell: impl FnMut(usize, usize),
    mut each: impl FnMut(Entry) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, StoreError> {
    let mut reader = Reader::open(database, None).await?;
    let told = read_hosts(&mut reader, hosts, &mut tell, &mut each).await;
    reader.close().await?;
    told
}

async fn read_hosts<B>(
    reader: &mut Reader,
    hosts: &[String],
    tell: &mut impl FnMut(usize, usize),
    each: &mut impl FnMut(Entry) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, StoreError> {
    let tables = ask!(reader, archive::tables())?.ok_or_else(|| reader.foreign())?;
    let all = match hosts {
        [] => ask!(reader, archive::hosts())?,
        some => some.to_vec(),
    };
    for (done, host) in all.iter().enumerate() {
        tell(done, all.len());
        let told = ask!(reader, archive::rows(&tables, host, each))?;
        if told.is_break() {
            return Ok(told);
        }
    }
    Ok(ControlFlow::Continue(()))
}
