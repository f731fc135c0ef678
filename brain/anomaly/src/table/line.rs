//! One row of a CSV: as it stands, where it stands, and its fields.

use std::io::{BufRead, Read};

use super::TableError;

/// The most bytes of a row.
const LONGEST: usize = 1 << 20;

/// The row that was read last.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Vec<u8>,
    /// Where it begins, from 1.
    number: u64,
    /// Lines that have ended.
    ended: u64,
}

impl Line {
    /// Reads the next row that is not blank; a line's end within quotes belongs to the row. Tells whether there is one.
    ///
    /// # Errors
    /// What the input answers, and a row that has no end.
    pub(super) fn read(&mut self, input: &mut impl BufRead) -> Result<bool, TableError> {
        loop {
            self.text.clear();
            self.number = self.ended + 1;
            if !self.read_row(input)? {
                return Ok(false);
            }
            while let [.., b'\n' | b'\r'] = &*self.text {
                self.text.pop();
            }
            if !self.text.is_empty() {
                return Ok(true);
            }
        }
    }

    fn read_row(&mut self, input: &mut impl BufRead) -> Result<bool, TableError> {
        let mut quoted = false;
        loop {
            let begin = self.text.len();
            let mut rest = input.by_ref().take((LONGEST - begin) as u64);
            let read = rest.read_until(b'\n', &mut self.text);
            read.map_err(|source| TableError::Read {
                line: self.ended + 1,
                source,
            })?;
            if self.ended == 0 && self.text.starts_with(b"\xef\xbb\xbf") {
                self.text.drain(..3);
            }
            let new = self.text.get(begin..).unwrap_or_default();
            quoted = new.iter().fold(quoted, |quoted, byte| quoted ^ (*byte == b'"'));
            let ended = new.ends_with(b"\n");
            self.ended += u64::from(ended);
            match (quoted, ended) {
                (false, true) => return Ok(true),
                // The last row needs no end.
                (false, false) if self.text.len() < LONGEST => return Ok(!self.text.is_empty()),
                (true, true) if self.text.len() < LONGEST => {}
                _ => return Err(TableError::Endless(self.number)),
            }
        }
    }

    /// As it stands, without its end.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The number of its line, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Refuses a row that has other fields than its header.
    pub(super) const fn check_fields(&self, found: usize, expected: usize) -> Result<(), TableError> {
        if found == expected {
            return Ok(());
        }
        let line = self.number;
        Err(TableError::Fields { line, found, expected })
    }

    /// Its fields, without quotes around them.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let mut quoted = false;
        let ends = move |byte: &u8| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        };
        self.text.split(ends).map(unquoted)
    }
}

fn unquoted(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inner @ .., b'"'] => inner,
        _ => field,
    }
}
