//! A disk that is full: a small file system in RAM, which only root may mount.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};

use super::{super::super::testing::Place, Server, insist, next_batch, rows};
use crate::{
    store::{
        Store as _,
        testing::{SINCE, full_batch},
    },
    testing::step_aside,
};

struct Small(PathBuf);

impl Small {
    /// For the user who owns `data`.
    fn mount(at: &Path, data: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(at)
            .status();
        if !mount.is_ok_and(|status| status.success()) {
            step_aside("this user may not mount a small file system");
            return None;
        }
        let owner = fs::metadata(data).unwrap();
        chown(at, Some(owner.uid()), Some(owner.gid())).unwrap();
        Some(Self(at.to_owned()))
    }

    /// Takes every byte that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("somebody-else");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_disk_that_is_full_costs_nothing_but_time() {
    let Some(server) = Server::start() else { return };
    let folder = server.data().with_file_name("small");
    let Some(disk) = Small::mount(&folder, &server.data()) else {
        return;
    };
    let mut admin = PgConnection::connect(server.url()).await.unwrap();
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", folder.display());
    raw_sql(AssertSqlSafe(tablespace)).execute(&mut admin).await.unwrap();
    let place = Place::at(format!("{}?options[default_tablespace]=small", server.url()));
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let mut watcher = super::other(&place).await;
    let before = rows(&mut watcher).await;

    let somebody_else = disk.fill();
    let mut batch = next_batch();
    for (_, frame) in &mut batch.frames {
        frame.body = vec![7; 20_000].into();
    }
    for _ in 0..2 {
        let error = store.write(&batch).await.unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains("No space left on device"),
            "{error}"
        );
        assert_eq!(rows(&mut watcher).await, before, "nothing of the batch");
    }
    fs::remove_file(somebody_else).unwrap();
    insist(&mut store, &batch).await;
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, batch.watermarks);
}
