//! A server that dies and whose standby takes over.

use std::{
    fs, net,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sqlx::{query_scalar, raw_sql};
use tokio::time::sleep;

use super::{
    super::super::{Timescale, testing::Place},
    Server, insist, next_batch, other, rows,
};
use crate::store::{
    Store as _,
    testing::{SINCE, full_batch},
};

/// A copy of a server that follows it.
struct Standby {
    data: PathBuf,
    port: u16,
}

impl Standby {
    fn of(server: &Server) -> Self {
        let port = net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let data = server.data().with_file_name("standby");
        let standby = Self { data, port };
        let owner = fs::metadata(server.data()).unwrap();
        fs::create_dir(&standby.data).unwrap();
        std::os::unix::fs::chown(&standby.data, Some(owner.uid()), Some(owner.gid())).unwrap();
        let folder = standby.data.display().to_string();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(server.programs().join(program));
            command.args(arguments).env("LC_ALL", "C").current_dir("/");
            // Servers do not run as root.
            command.uid(owner.uid()).gid(owner.gid());
            let ended = command.status().unwrap();
            assert!(ended.success(), "{program} {arguments:?}: {ended}");
        };
        // It takes over within the seconds that a kill of the first one takes.
        run(
            "pg_basebackup",
            &["-D", &folder, "-R", "-c", "fast", "-d", server.url()],
        );
        fs::set_permissions(
            &standby.data,
            fs::Permissions::from(std::os::unix::fs::PermissionsExt::from_mode(0o700)),
        )
        .unwrap();
        let (options, log) = (format!("-p {port}"), format!("{folder}/standby.log"));
        run(
            "pg_ctl",
            &["-D", &folder, "-w", "-s", "-l", &log, "-o", &options, "start"],
        );
        standby
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        stop(&self.data);
    }
}

fn stop(data: &Path) {
    let Ok(file) = fs::read_to_string(data.join("postmaster.pid")) else {
        return;
    };
    let pid = file.lines().next().unwrap_or_default();
    drop(Command::new("kill").args(["-QUIT", pid]).status());
    std::thread::sleep(Duration::from_millis(300));
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
    place.options.url = place
        .options
        .url
        .replace(&format!(":{}/", server.port()), &format!(":{}/", standby.port));
    let mut admin = other(&place).await;
    raw_sql("SELECT pg_promote()").execute(&mut admin).await.unwrap();
    // Nobody follows the new one yet.
    for sql in [
        "ALTER SYSTEM RESET synchronous_standby_names",
        "SELECT pg_reload_conf()",
    ] {
        raw_sql(sql).execute(&mut admin).await.unwrap();
    }
    assert_eq!(rows(&mut admin).await["frames"], 2, "all that was durable");
    insist(&mut store, &batch).await;
    assert_eq!(store.recover(SINCE).await.unwrap().watermarks, batch.watermarks);
    assert_eq!(rows(&mut admin).await["frames"], 39, "each once");
}
