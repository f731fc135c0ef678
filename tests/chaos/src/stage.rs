//! The processes of the cell. All of them are this program, so that nothing else needs to be built.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use brain::history::Database;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    Run, fleet,
    link::{Link, Weather},
    ports::free_port,
    server::Server,
};

/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// One that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Broker,
    Brain,
    /// The database, where it is a server.
    Server,
    Fleet(usize),
}

/// The cell.
pub(crate) struct Stage {
    folder: PathBuf,
    broker: Process,
    brain: Process,
    server: Option<Server>,
    fleets: Vec<Process>,
    arguments: Vec<fleet::Arguments>,
    /// Of the brain first, then of each fleet.
    links: Vec<Link>,
}

struct Process {
    arguments: Vec<String>,
    log: PathBuf,
    /// The port that it listens on, where it does.
    listens: Option<u16>,
    child: Option<Child>,
    kills: u32,
}

impl Stage {
    /// Sets everything up in `folder`, and starts it.
    pub(crate) async fn start(folder: &Path, run: &Run) -> anyhow::Result<Self> {
        let (port, page) = (free_port(), free_port());
        let to_brain = Link::start(port).await?;
        let server = match &run.server {
            Some(program) => Some(Server::start(program, folder, free_port()).await?),
            None => None,
        };
        let database = server
            .as_ref()
            .map_or_else(String::new, |server| format!("database = {:?}\n", server.url()));
        let broker = format!("listen = \"127.0.0.1:{port}\"\n");
        let brain = format!(
            "data_dir = {:?}\n[broker]\nport = {}\n[page]\nlisten = \"127.0.0.1:{page}\"\n[forecast]\ntrain = false\n\
             [ingest]\nmax_hosts = {}\n[store]\n{database}flush_every = \"1s\"\n",
            folder.join("data").to_string_lossy(),
            to_brain.port(),
            run.hosts.max(10)
        );
        let mut stage = Self {
            broker: Process::configured(folder, "broker", &broker, port)?,
            brain: Process::configured(folder, "brain", &brain, page)?,
            server,
            fleets: Vec::new(),
            arguments: Vec::new(),
            links: vec![to_brain],
            folder: folder.to_owned(),
        };
        let share = run.hosts.div_ceil(run.fleets.max(1));
        for first in (0..run.hosts).step_by(share.max(1)) {
            let link = Link::start(port).await?;
            let arguments = fleet::Arguments {
                first,
                hosts: share.min(run.hosts - first),
                port: link.port(),
                folder: folder.join(format!("fleet-{first}")),
                memory: run.memory,
                disk: run.disk,
            };
            fs::create_dir(&arguments.folder)?;
            stage.fleets.push(Process::fleet(&arguments));
            stage.arguments.push(arguments);
            stage.links.push(link);
        }
        stage.restart(Part::Broker).await?;
        stage.restart(Part::Brain).await?;
        for fleet in 0..stage.fleets.len() {
            stage.restart(Part::Fleet(fleet)).await?;
        }
        Ok(stage)
    }

    /// The brain's database.
    pub(crate) fn database(&self) -> Database {
        let database = self.server.as_ref().map(|server| server.url().to_owned());
        Database::of(&brain::Config {
            data_dir: self.folder.join("data"),
            store: brain::config::Store {
                database,
                ..Default::default()
            },
            ..Default::default()
        })
    }

    /// What the agents took.
    pub(crate) fn ledgers(&self) -> Vec<PathBuf> {
        self.arguments.iter().map(fleet::Arguments::ledger).collect()
    }

    pub(crate) fn fleets(&self) -> usize {
        self.fleets.len()
    }

    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Whether the database is a server, which can be killed.
    pub(crate) const fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// How often each part was killed: broker, brain, fleets, database.
    pub(crate) fn kills(&self) -> [u32; 4] {
        let fleets = self.fleets.iter().map(|fleet| fleet.kills).sum();
        let server = self.server.as_ref().map_or(0, Server::kills);
        [self.broker.kills, self.brain.kills, fleets, server]
    }

    pub(crate) fn set_link(&self, link: usize, weather: Weather) {
        if let Some(link) = self.links.get(link) {
            link.set(weather);
        }
    }

    /// No more samples are taken.
    pub(crate) fn enough(&self) -> anyhow::Result<()> {
        for arguments in &self.arguments {
            fs::write(arguments.enough(), "")?;
        }
        Ok(())
    }

    fn process(&mut self, part: Part) -> anyhow::Result<&mut Process> {
        let process = match part {
            Part::Broker => Some(&mut self.broker),
            Part::Brain => Some(&mut self.brain),
            Part::Fleet(fleet) => self.fleets.get_mut(fleet),
            Part::Server => None,
        };
        process.with_context(|| format!("there is no {part:?}"))
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, part: Part) -> anyhow::Result<()> {
        match (&mut self.server, part) {
            (Some(server), Part::Server) => server.kill().await,
            _ => self.process(part)?.kill().await,
        }
    }

    /// Starts a part that is dead.
    pub(crate) async fn restart(&mut self, part: Part) -> anyhow::Result<()> {
        match (&mut self.server, part) {
            (Some(server), Part::Server) => server.again().await,
            // It starts when the database is there.
            (Some(server), Part::Brain) if !server.runs() => self.brain.spawn(),
            _ => self.process(part)?.start().await,
        }
    }

    /// Fails when a part has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let all = [&mut self.broker, &mut self.brain].into_iter().chain(&mut self.fleets);
        for process in all {
            if let Some(ended) = process.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                let log = fs::read_to_string(&process.log).unwrap_or_default();
                bail!("{:?} has ended by itself ({ended}):\n{log}", process.arguments);
            }
        }
        Ok(())
    }
}

impl Process {
    fn configured(folder: &Path, part: &str, text: &str, listens: u16) -> anyhow::Result<Self> {
        let config = folder.join(format!("{part}.toml"));
        fs::write(&config, text)?;
        Ok(Self {
            arguments: [part, "--config", &config.to_string_lossy()].map(str::to_owned).into(),
            log: folder.join(format!("{part}.log")),
            listens: Some(listens),
            child: None,
            kills: 0,
        })
    }

    fn fleet(of: &fleet::Arguments) -> Self {
        let options = [
            ("--first", of.first.to_string()),
            ("--hosts", of.hosts.to_string()),
            ("--port", of.port.to_string()),
            ("--folder", of.folder.to_string_lossy().into_owned()),
            ("--memory", of.memory.to_string()),
            ("--disk", of.disk.to_string()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        Self {
            arguments: std::iter::once("fleet".to_owned()).chain(options).collect(),
            log: of.folder.join("log"),
            listens: None,
            child: None,
            kills: 0,
        }
    }

    /// Starts it and waits until it listens.
    async fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        let Some(port) = self.listens else { return Ok(()) };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{:?} does not listen:\n{log}", self.arguments);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(std::env::current_exe()?)
            .args(&self.arguments)
            .env(
                "FORESHADOW_LOG",
                std::env::var("CHAOS_LOG").unwrap_or_else(|_| "info".to_owned()),
            )
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
            self.kills += 1;
        }
        Ok(())
    }
}
