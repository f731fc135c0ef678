//! A database that can be killed: a TimescaleDB that a program given by the caller starts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

/// How long it may take until a server that was killed is back: it reads its log again, and before that what is left of the
/// killed one has to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// One server with its data.
pub(crate) struct Server {
    program: PathBuf,
    data: PathBuf,
    state: PathBuf,
    port: u16,
    url: String,
    kills: u32,
    runs: bool,
}

impl Server {
    /// Starts it in a folder of its own below `folder`.
    pub(crate) async fn start(program: &Path, folder: &Path, port: u16) -> anyhow::Result<Self> {
        // Servers do not run as root: their user has to reach the folder.
        let data = tempfile::Builder::new()
            .prefix("foreshadow-database-")
            .tempdir()?
            .keep();
        let mut server = Self {
            program: program.to_owned(),
            data,
            state: folder.join("database.run"),
            port,
            url: String::new(),
            kills: 0,
            runs: false,
        };
        server.again().await?;
        Ok(server)
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it has been started and not killed since.
    pub(crate) const fn runs(&self) -> bool {
        self.runs
    }

    /// How often it was killed.
    pub(crate) const fn kills(&self) -> u32 {
        self.kills
    }

    /// Starts it if it is dead.
    pub(crate) async fn again(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.runs {
            let output = Command::new(&self.program)
                .env("TSDB_DATA", &self.data)
                .env("TSDB_PORT", self.port.to_string())
                .env("TSDB_RUN", &self.state)
                .output()
                .await
                .with_context(|| format!("cannot start {}", self.program.display()))?;
            self.runs = output.status.success();
            let told = String::from_utf8_lossy(&output.stderr);
            ensure!(
                self.runs || begun.elapsed() < PATIENCE,
                "the database does not start: {told}"
            );
            if self.runs {
                String::from_utf8(output.stdout)?.trim().clone_into(&mut self.url);
            } else {
                sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// SIGKILL to the server; the processes of its sessions end when they notice.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if self.runs {
            signal(&self.pid()?, "-KILL").await?;
            self.runs = false;
            self.kills += 1;
        }
        Ok(())
    }

    fn pid(&self) -> anyhow::Result<String> {
        let file = self.data.join("postmaster.pid");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(text.lines().next().context("no pid")?.trim().to_owned())
    }
}

async fn signal(pid: &str, signal: &str) -> anyhow::Result<()> {
    let status = Command::new("kill").args([signal, pid]).status().await?;
    ensure!(status.success(), "kill {signal} {pid}: {status}");
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let (true, Ok(pid)) = (self.runs, self.pid()) {
            // A server that is not stopped would outlive the run.
            drop(std::process::Command::new("kill").args(["-INT", &pid]).status());
        }
        drop(fs::remove_dir_all(&self.data));
    }
}
