//! Files of secrets, and who of their machine could get at them.

use std::{
    fs::File,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

/// Bits of a mode that a secret does not have: writing by its group, and anything by others.
const OPEN: u32 = 0o027;

/// What is wrong with the mode of a file of secrets, and what to do: others must not be able to read it, nor anybody but its owner
/// to write it. `None` where nothing is. A pipe (`/dev/stdin`, a shell's `<(...)`) has no mode of anybody's choice.
///
/// # Errors
/// When the system does not tell the mode.
pub fn fault_of_mode(file: &File) -> io::Result<Option<String>> {
    let found = file.metadata()?;
    let mode = found.permissions().mode() & 0o777;
    if !found.is_file() || mode & OPEN == 0 {
        return Ok(None);
    }
    Ok(Some(format!(
        "its mode {mode:03o} lets others read or write it: chmod 600, or 640 where a group is to read it (it belongs to user {} and \
         group {})",
        found.uid(),
        found.gid()
    )))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::pipe, os::fd::OwnedFd};

    use super::*;

    #[test]
    fn only_owner_and_a_reading_group_may_have_it() {
        let path = std::env::temp_dir().join(format!("foreshadow-private-{}", std::process::id()));
        fs::write(&path, "a secret").unwrap();
        for (mode, is_private) in [
            (0o600, true),
            (0o400, true),
            (0o640, true),
            (0o700, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
            (0o620, false),
            (0o601, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let fault = fault_of_mode(&File::open(&path).unwrap()).unwrap();
            assert_eq!(fault.is_none(), is_private, "{mode:o}: {fault:?}");
            if let Some(fault) = fault {
                assert!(
                    fault.contains(&format!("{mode:o}")) && fault.contains("chmod 600"),
                    "{fault}"
                );
            }
        }
        fs::remove_file(&path).unwrap();
        let (reader, _writer) = pipe().unwrap();
        assert_eq!(fault_of_mode(&File::from(OwnedFd::from(reader))).unwrap(), None);
    }
}
