//! Files that are whole, private and never overwritten by accident.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use crate::TrustError;

/// The largest file of certificates, keys or revoked ones that is read, in bytes.
pub const MAX_FILE: u64 = 4 << 20;

/// The bytes of a file of at most [`MAX_FILE`].
///
/// # Errors
/// [`TrustError`] when it cannot be read or is larger.
pub fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    read_of(path, File::open(path).map_err(TrustError::file(path))?)
}

fn read_of(path: &Path, file: File) -> Result<Vec<u8>, TrustError> {
    let mut bytes = Vec::new();
    let mut file = file.take(MAX_FILE + 1);
    file.read_to_end(&mut bytes).map_err(TrustError::file(path))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TrustError::content(
            path,
            format!("more than {MAX_FILE} bytes; is it the right file?"),
        ));
    }
    Ok(bytes)
}

/// As [`read`], of a file of secrets: others must not be able to read it, nor anybody but its owner to write it.
///
/// # Errors
/// [`TrustError`] as well when its mode lets them.
pub fn read_private(path: &Path) -> Result<Vec<u8>, TrustError> {
    let file = File::open(path).map_err(TrustError::file(path))?;
    match runtime::private::fault_of_mode(&file).map_err(TrustError::file(path))? {
        Some(fault) => Err(TrustError::content(path, fault)),
        None => read_of(path, file),
    }
}

/// What tells a file from the one that was there before: device, number, length, and when it was written, or its mode or owner
/// changed, to the nanosecond; `None` where there is none.
pub type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// That of the file at `path` now. Some microseconds.
pub fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
}

/// Makes a folder that its owner alone may look into, with those above it. One that is there stays as it is.
///
/// # Errors
/// [`TrustError::File`].
pub fn folder(path: &Path) -> Result<(), TrustError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(TrustError::file(path))
}

/// Writes a new file that its owner alone may read, whole or not at all, and safe from a loss of power.
///
/// # Errors
/// [`TrustError::File`] of kind [`io::ErrorKind::AlreadyExists`] when there is one: it is not touched.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    put(path, bytes, |beside| {
        // A link fails where the name is taken; a rename would not.
        let linked = fs::hard_link(beside, path);
        fs::remove_file(beside)?;
        linked
    })
}

/// As [`create`], in the place of what was there.
///
/// # Errors
/// [`TrustError::File`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    put(path, bytes, |beside| fs::rename(beside, path))
}

/// As [`replace`], with owner, group and mode of what was there: a file that a service reads stays one that it can read.
///
/// # Errors
/// [`TrustError::File`], also where the owner cannot be given it.
pub fn rewrite(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    put(path, bytes, |beside| {
        if let Ok(was) = fs::metadata(path) {
            let is = fs::metadata(beside)?;
            if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
                chown(beside, Some(was.uid()), Some(was.gid()))?;
            }
            fs::set_permissions(beside, fs::Permissions::from_mode(was.mode() & 0o7777))?;
        }
        fs::rename(beside, path)
    })
}

/// Waits until no other process changes the file at `path` from what it has read of it, and keeps others waiting while the
/// answer lives. It locks the folder: the file itself is another after each change, and a file beside it would stay there.
///
/// # Errors
/// [`TrustError::File`] where the folder is not there, or cannot be locked.
pub fn hold(path: &Path) -> Result<File, TrustError> {
    let held = || -> io::Result<File> {
        let folder = File::open(folder_of(path))?;
        folder.lock()?;
        Ok(folder)
    };
    held().map_err(TrustError::file(path))
}

fn put(path: &Path, bytes: &[u8], take_place: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), TrustError> {
    let beside = beside(path);
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        take_place(&beside)?;
        sync_folder(path)
    };
    written().map_err(TrustError::file(path))
}

/// The file that is written first.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

/// Makes the names in the folder of `path` safe from a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_not_overwritten_unless_asked() {
        let home = tempfile::tempdir().unwrap();
        let below = home.path().join("a/b");
        folder(&below).unwrap();
        folder(&below).unwrap();
        let file = below.join("x.key");
        create(&file, b"one").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&below), mode(&file)), (0o700, 0o600));
        match create(&file, b"two") {
            Err(TrustError::File { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::AlreadyExists),
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&file).unwrap(), b"one");
        replace(&file, b"two").unwrap();
        assert_eq!(read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(&below).unwrap().count(), 1, "nothing is left beside it");
        read_private(&file).unwrap();
        for mode in [0o644, 0o660, 0o604] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let told = read_private(&file).unwrap_err().to_string();
            assert!(
                told.contains(&format!("{mode:o}")) && told.contains("chmod 600"),
                "{told}"
            );
        }
        let before = stamp(&file);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_ne!(stamp(&file), before, "what was refused for its mode is read again");
        rewrite(&file, b"three").unwrap();
        assert_eq!((mode(&file), read(&file).unwrap()), (0o640, b"three".to_vec()));
        let error = read(&below.join("none")).unwrap_err().to_string();
        assert!(error.contains("x.key") || error.contains("none"), "{error}");
    }
}
