//! A server that dies and whose standby takes over.

use std::{
    fs, net,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::Command,
    time::Duration,
};

use sqlx::{PgConnection, query_scalar, raw_sql};
use tokio::time::sleep;

use super::{
    super::super::{Timescale, testing::Place},
    Server, insist, next_batch, other, rows,
};
use crate::store::{
    Store as _, StoreError,
    testing::{SINCE, full_batch},
};

/// A copy of a server that follows it.
struct Standby {
    programs: PathBuf,
    /// Servers do not run as root.
    owner: (u32, u32),
    data: PathBuf,
    port: u16,
}

impl Standby {
    fn of(server: &Server) -> Self {
        let owner = fs::metadata(server.data()).unwrap();
        let standby = Self {
            programs: server.programs(),
            owner: (owner.uid(), owner.gid()),
            data: server.data().with_file_name("standby"),
            port: net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
        };
        fs::create_dir(&standby.data).unwrap();
        chown(&standby.data, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(&standby.data, fs::Permissions::from_mode(0o700)).unwrap();
        standby.run("pg_basebackup", &["-R", "-c", "fast", "-d", server.url()]);
        standby.start();
        standby
    }

    fn start(&self) {
        let log = self.data.join("standby.log").display().to_string();
        let options = format!("-p {}", self.port);
        self.run("pg_ctl", &["-w", "-s", "-l", &log, "-o", &options, "start"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command
            .arg("-D")
            .arg(&self.data)
            .args(arguments)
            .env("LC_ALL", "C")
            .current_dir("/");
        command.uid(self.owner.0).gid(self.owner.1);
        let ended = command.status().unwrap();
        assert!(ended.success(), "{program} {arguments:?}: {ended}");
    }

    /// It is the only one from now on.
    async fn promote(&self, place: &mut Place, server: &Server) -> PgConnection {
        let port = |port: u16| format!(":{port}/");
        place.options.url = place.options.url.replace(&port(server.port()), &port(self.port));
        let mut admin = other(place).await;
        for sql in [
            "SELECT pg_promote()",
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        ] {
            raw_sql(sql).execute(&mut admin).await.unwrap();
        }
        admin
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command
            .arg("-D")
            .arg(&self.data)
            .args(["-s", "-m", "immediate", "stop"])
            .current_dir("/");
        drop(command.uid(self.owner.0).gid(self.owner.1).status());
    }
}

/// As an address that leads to another server from now on.
fn lead(store: &mut Timescale, port: u16) {
    store.connect = store.connect.clone().port(port);
}

#[tokio::test]
async fn a_standby_that_takes_over_has_all_that_was_durable_and_takes_the_rest() {
    let Some(server) = Server::start() else { return };
    let mut place = Place::at(server.url().to_owned());
    let mut store = place.open().await;
    let standby = Standby::of(&server);
    let mut admin = other(&place).await;
    for sql in [
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
    ] {
        raw_sql(sql).execute(&mut admin).await.unwrap();
    }
    let follows = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
    while !query_scalar::<_, bool>(follows).fetch_one(&mut admin).await.unwrap() {
        sleep(Duration::from_millis(50)).await;
    }
    store.write(&full_batch()).await.unwrap();
    server.kill(super::backend(&mut store).await);
    let batch = next_batch();
    assert!(store.write(&batch).await.unwrap_err().is_transient());

    lead(&mut store, standby.port);
    let error = store.write(&batch).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("read-only"),
        "{error}"
    );
    let mut admin = standby.promote(&mut place, &server).await;
    assert_eq!(rows(&mut admin).await["frames"], 2, "all that was durable");
    insist(&mut store, &batch).await;
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, batch.watermarks);
    assert_eq!(rows(&mut admin).await["frames"], 39, "each once");
}

/// Nobody has waited for it.
#[tokio::test]
async fn a_standby_that_lacks_the_last_batch_ends_the_brain() {
    let Some(server) = Server::start() else { return };
    let mut place = Place::at(server.url().to_owned());
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let standby = Standby::of(&server);
    standby.run("pg_ctl", &["-s", "-m", "fast", "stop"]);
    store.write(&next_batch()).await.unwrap();
    server.kill(super::backend(&mut store).await);
    standby.start();
    let mut admin = standby.promote(&mut place, &server).await;

    lead(&mut store, standby.port);
    assert!(
        store.write(&next_batch()).await.unwrap_err().is_transient(),
        "the session is over"
    );
    let error = store.write(&next_batch()).await.unwrap_err();
    assert!(matches!(error, StoreError::Changed(_)), "{error}");
    assert_eq!(
        rows(&mut admin).await["frames"],
        2,
        "no watermark covers what is not there"
    );
    drop(store);
    // Started anew it believes what is there: agents send the rest again.
    let mut store = place.open().await;
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, full_batch().watermarks);
    store.write(&next_batch()).await.unwrap();
}
