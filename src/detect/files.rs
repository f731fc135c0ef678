//! Where rows come from and where they go: a file, plain or packed by gzip, or the standard streams.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use anyhow::Context;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use runtime::output;

use crate::export::temporary;

/// What a file that is packed by gzip begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Whether a path means a standard stream.
pub(super) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// How an input is called in messages.
pub(super) fn name(input: &Path) -> String {
    if is_stream(input) {
        "standard input".to_owned()
    } else {
        input.display().to_string()
    }
}

/// Opens an input; whether it is packed is told by its first bytes.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let input: Box<dyn Read> = if is_stream(path) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    let mut input = BufReader::new(input);
    if input.fill_buf()?.starts_with(GZIP) {
        Ok(Box::new(MultiGzDecoder::new(input)))
    } else {
        Ok(Box::new(input))
    }
}

/// Has `work` write an output. A file gets its name, and replaces one of before, when all of it is written: what fails leaves
/// nothing behind. It is packed where its name ends in `.gz`. A pipe or a device is written to as it stands.
pub(super) fn write<T>(path: &Path, work: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let place = || path.display().to_string();
    if is_stream(path) {
        return work(&mut output::stream());
    }
    if path.metadata().is_ok_and(|known| !known.is_file()) {
        return work(&mut File::options().write(true).open(path).with_context(place)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let (mut file, written) = temporary(folder.unwrap_or(Path::new("."))).with_context(place)?;
    let done = if path.extension().is_some_and(|ending| ending == "gz") {
        let mut encoder = GzEncoder::new(&mut file, Compression::default());
        let done = work(&mut encoder)?;
        encoder.finish().with_context(place)?;
        done
    } else {
        work(&mut file)?
    };
    written.persist(path).with_context(place)?;
    Ok(done)
}
