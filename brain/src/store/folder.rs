//! The data folder, which has one brain.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use super::StoreError;

/// Makes the folder, proves that it can be written, and keeps other brains out of it while the file is held.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let fault = |source| StoreError::Folder {
        folder: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(fault)?;
    let file = File::create(folder.join("brain.lock")).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.display().to_string())),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}
