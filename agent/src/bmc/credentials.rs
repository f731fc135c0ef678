//! The password of a BMC: from a file that nobody else may read, or from the environment.
//!
//! It is read when a session begins and kept only while it does, so a changed password needs no restart. It has
//! no `Display`, is not serialised, and its `Debug` shows nothing.

use std::{
    env, fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use shadow::SourceState;

use super::BmcError;

/// The longest password of RMCP+ (IPMI 2.0, 22.30).
pub const MAX_BYTES: usize = 20;

/// Where the password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// In a file of mode 0600 or less that the agent's user owns.
    File(PathBuf),
    /// In an environment variable of this name.
    Environment(String),
}

/// A password that shows itself to nobody.
pub struct Password([u8; MAX_BYTES]);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// The password in all its [`MAX_BYTES`], filled up with zeros.
    ///
    /// As a key of HMAC that is the same as the password alone (RFC 2104, 2). It is too long for a session of
    /// IPMI 1.5, to which ipmi-rs goes down when a reply says that there is no IPMI 2.0, and which may send a
    /// password in the clear: so filled up, it is refused before anything is sent.
    pub(super) const fn key(&self) -> &[u8; MAX_BYTES] {
        &self.0
    }

    fn new(bytes: &[u8], place: &str) -> Result<Self, BmcError> {
        let mut password = [0; MAX_BYTES];
        match password.get_mut(..bytes.len()) {
            Some(room) if !bytes.is_empty() && !bytes.contains(&0) => room.copy_from_slice(bytes),
            _ => {
                return Err(refused(format!(
                    "{place} does not hold a password of 1 to {MAX_BYTES} bytes"
                )));
            }
        }
        Ok(Self(password))
    }
}

impl PasswordSource {
    /// Reads the password. One end of line is no part of it.
    ///
    /// # Errors
    /// [`BmcError::Open`] when it is not there, too long, or in a file that others may read or own.
    pub fn read(&self) -> Result<Password, BmcError> {
        match self {
            Self::Environment(name) => {
                let value =
                    env::var_os(name).ok_or_else(|| refused(format!("environment variable {name} is not set")))?;
                Password::new(value.as_encoded_bytes(), &format!("environment variable {name}"))
            }
            Self::File(path) => from_file(path),
        }
    }
}

/// Checks the file that was opened, not the path, which may lead elsewhere a moment later.
fn from_file(path: &Path) -> Result<Password, BmcError> {
    let place = path.display().to_string();
    let failed = |fault: io::Error| {
        let state = if fault.kind() == io::ErrorKind::PermissionDenied {
            SourceState::NoPermission
        } else {
            SourceState::Failed
        };
        let what = format!("{place}: {fault}");
        BmcError::Open { what, state }
    };
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(refused(format!("{place} is not a file")));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return Err(refused(format!(
            "{place} has mode {mode:04o}: others may read it, wants 0600"
        )));
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own {
        return Err(refused(format!(
            "{place} belongs to user {}, not to {own}, who runs the agent",
            meta.uid()
        )));
    }
    let mut bytes = Vec::new();
    file.take(64).read_to_end(&mut bytes).map_err(failed)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Password::new(line.strip_suffix(b"\r").unwrap_or(line), &place)
}

const fn refused(what: String) -> BmcError {
    BmcError::Open {
        what,
        state: SourceState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PasswordSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, PasswordSource::File(path))
    }

    fn fault(text: &str, mode: u32) -> String {
        let (_dir, source) = file(text, mode);
        source.read().unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_its_user_alone_is_read() {
        let (_dir, source) = file("lab-secret\n", 0o600);
        let password = source.read().unwrap();
        assert_eq!(password.key(), b"lab-secret\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(format!("{password:?}"), "Password(..)");
    }

    #[test]
    fn files_of_others_and_what_is_no_password_are_refused_without_showing_it() {
        assert!(fault("hidden", 0o640).contains("mode 0640"));
        assert!(fault("hidden", 0o604).contains("wants 0600"));
        for bad in ["", "\n", "hidden-but-longer-than-20", "hid\0den"] {
            let fault = fault(bad, 0o600);
            assert!(fault.contains("1 to 20 bytes") && !fault.contains("hid"), "{fault}");
        }
        let nowhere = PasswordSource::File("/nonexistent/password".into());
        assert!(
            nowhere
                .read()
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/password")
        );
        let unset = PasswordSource::Environment("FORESHADOW_TEST_UNSET".to_owned());
        assert!(unset.read().unwrap_err().to_string().contains("is not set"));
    }
}
