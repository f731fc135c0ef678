//! A server of a test's own, which may be killed: `FORESHADOW_TIMESCALEDB` names the program that starts one.

use std::{
    env, fs, net,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// A server with its data, both gone after the test.
pub(crate) struct Server {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    url: String,
}

impl Server {
    /// `None`, and a printed reason, where no program is named.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = env::var_os("FORESHADOW_TIMESCALEDB") else {
            // Tests of other crates have this file, too, and so it has no helper of ours.
            let why = "FORESHADOW_TIMESCALEDB names no program that starts a TimescaleDB";
            assert!(
                env::var_os("FORESHADOW_ALL").is_none(),
                "it cannot be tested here: {why}"
            );
            eprintln!("SKIPPED: {why}");
            return None;
        };
        let port = net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut server = Self {
            program: program.into(),
            folder: tempfile::tempdir().unwrap(),
            port,
            url: String::new(),
        };
        // Servers do not run as root: their user has to reach the data.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(server.folder.path(), open).unwrap();
        server.again();
        Some(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Where its own programs are.
    pub(crate) fn programs(&self) -> PathBuf {
        let state = fs::read_to_string(self.state()).unwrap();
        let folder = state.lines().find_map(|line| line.strip_prefix("tsdb_bin="));
        folder.unwrap().into()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Starts it again once what is left of the killed one has ended.
    pub(crate) fn again(&mut self) {
        let end = Instant::now() + Duration::from_mins(2);
        loop {
            let output = Command::new(&self.program)
                .env("TSDB_DATA", self.data())
                .env("TSDB_PORT", self.port.to_string())
                .env("TSDB_RUN", self.state())
                .output()
                .unwrap();
            if output.status.success() {
                return String::from_utf8(output.stdout)
                    .unwrap()
                    .trim()
                    .clone_into(&mut self.url);
            }
            assert!(
                Instant::now() < end,
                "it does not start: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            sleep(Duration::from_millis(200));
        }
    }

    /// SIGKILL to the process of a session and to the server.
    pub(crate) fn kill(&self, session: i32) {
        for pid in [self.pid(), session.to_string()] {
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        }
    }

    fn pid(&self) -> String {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Immediately: nothing of it is needed any more.
        drop(Command::new("kill").args(["-QUIT", &self.pid()]).status());
        sleep(Duration::from_millis(300));
    }
}
