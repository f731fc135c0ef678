//! An artifact's file: written whole, read within bounds.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use crate::error::ArtifactError;

/// FNV-1a, 64 bits, as hexadecimal digits: guards against accidents, not against intent.
pub(super) fn checksum(bytes: impl Iterator<Item = u8>) -> String {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Writes beside `path`, syncs, and moves it there, so that it is never half written.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let beside = path.with_extension("partial");
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|source| at(path, source))
}

pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ArtifactError> {
    let file = fs::File::open(path).map_err(|source| at(path, source))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| at(path, source))?;
    if bytes.len() as u64 > limit {
        return Err(broken(path, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

pub(super) fn at(path: &Path, source: io::Error) -> ArtifactError {
    ArtifactError::Io {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn broken(path: &Path, reason: String) -> ArtifactError {
    ArtifactError::Broken {
        path: path.to_owned(),
        reason,
    }
}
