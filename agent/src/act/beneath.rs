//! Files below one folder, and nothing else: no symbolic link is followed there, and no way leads out.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, openat},
    io::{read, write},
};

/// The most that is read of a file.
const MAX_BYTES: usize = 64 << 10;

/// A folder, and all that lies below it.
#[derive(Debug, Clone)]
pub(crate) struct Beneath {
    root: PathBuf,
}

impl Beneath {
    /// All below `root`, which is trusted as it is.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The text of the file at `path`, without white space around it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where it is gone; a link on the way, a `..` or a path from the root are refused.
    pub(crate) fn read(&self, path: &str) -> io::Result<String> {
        let file = self.open(path, OFlags::RDONLY)?;
        let mut bytes = vec![0; 4096];
        let mut length = 0;
        loop {
            let room = bytes.get_mut(length..).unwrap_or_default();
            let count = read(&file, room)?;
            if count == 0 {
                break;
            }
            length += count;
            if length == bytes.len() && length < MAX_BYTES {
                bytes.resize(length * 2, 0);
            } else if length >= MAX_BYTES {
                return Err(io::Error::other("it is too long"));
            }
        }
        bytes.truncate(length);
        let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text"))?;
        Ok(text.trim().to_owned())
    }

    /// Writes `text` and a line's end into the file at `path`, which must be there, in one go.
    ///
    /// # Errors
    /// As [`Beneath::read`], and what the kernel has against the text.
    pub(crate) fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let file = self.open(path, OFlags::WRONLY | OFlags::TRUNC)?;
        let line = format!("{text}\n");
        let written = write(&file, line.as_bytes())?;
        if written == line.len() {
            Ok(())
        } else {
            Err(io::Error::other("it was written in part"))
        }
    }

    fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let parts = parts(path)?;
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = openat(CWD, &self.root, folder, Mode::empty())?;
        let Some((last, above)) = parts.split_last() else {
            return Ok(at);
        };
        for part in above {
            at = openat(&at, *part, folder | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(openat(
            &at,
            *last,
            flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }
}

/// The names of a path that stays below its root.
fn parts(path: &str) -> io::Result<Vec<&str>> {
    let bad = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what.to_owned()));
    if Path::new(path).is_absolute() {
        return bad("a path from the root");
    }
    if path.contains('\0') {
        return bad("a zero byte");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return bad("a path with '.' or '..'");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn no_way_leads_out() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir_all(root.join("web/inner")).unwrap();
        fs::create_dir(home.path().join("other")).unwrap();
        fs::write(home.path().join("other/cpu.max"), "secret").unwrap();
        fs::write(root.join("web/cpu.max"), "max 100000\n").unwrap();
        symlink("../other", root.join("link")).unwrap();
        symlink("../../other/cpu.max", root.join("web/linked")).unwrap();
        let beneath = Beneath::new(&root);
        assert_eq!(beneath.read("web/cpu.max").unwrap(), "max 100000");
        for path in [
            "link/cpu.max",
            "web/linked",
            "../other/cpu.max",
            "web/../../other/cpu.max",
            "web/./cpu.max",
            "/etc/hostname",
            "web/cpu.max\0",
            "web",
        ] {
            assert!(beneath.read(path).is_err(), "{path}");
            assert!(beneath.write(path, "x").is_err(), "{path}");
        }
        assert_eq!(fs::read_to_string(home.path().join("other/cpu.max")).unwrap(), "secret");
        beneath.write("web/cpu.max", "1000 100000").unwrap();
        assert_eq!(beneath.read("web/cpu.max").unwrap(), "1000 100000");
        let gone = beneath.write("gone/cpu.max", "x").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound, "nothing is made");
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let beneath = Beneath::new(home.path());
        fs::write(home.path().join("long"), "x".repeat(50_000)).unwrap();
        assert_eq!(beneath.read("long").unwrap().len(), 50_000);
        fs::write(home.path().join("long"), "x".repeat(70_000)).unwrap();
        assert!(beneath.read("long").is_err());
        fs::write(home.path().join("bytes"), [0xff, 0xfe]).unwrap();
        assert!(beneath.read("bytes").is_err());
    }
}
