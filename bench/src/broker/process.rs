//! Brokers as processes of their own.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::process;

/// How long a broker may take until it listens.
const START: Duration = Duration::from_secs(10);

/// Connections that a broker takes.
const CONNECTIONS: usize = 20_000;

/// Messages under way to one client, the same for all: what ours has, and rumqttd cannot exceed.
const WINDOW: usize = 100;

const MOSQUITTO: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Our broker as `foreshadow-broker` runs it.
    Ours,
    /// mosquitto with queues without limits.
    Mosquitto,
    /// rumqttd with its own listener, and logs that nothing falls out of.
    Rumqttd,
}

impl Kind {
    /// Ours first.
    pub(super) fn all() -> [Self; 3] {
        [Self::Ours, Self::Mosquitto, Self::Rumqttd]
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Mosquitto => "mosquitto",
            Self::Rumqttd => "rumqttd",
        }
    }

    /// Whether it can be run here; says so if not.
    pub(super) fn is_here(self) -> bool {
        let here = self != Self::Mosquitto || mosquitto().is_some();
        if !here {
            eprintln!("mosquitto is left out: it is not installed");
        }
        here
    }
}

/// A broker that runs; it is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) port: u16,
    _folder: TempDir,
}

impl Process {
    /// Starts a broker on a free port of loopback, and waits until it listens.
    pub(super) fn start(kind: Kind) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let mut command = match kind {
            Kind::Mosquitto => {
                let file = folder.path().join("mosquitto.conf");
                fs::write(&file, configuration(port))?;
                let mut command = Command::new(mosquitto().context("mosquitto is not installed")?);
                command.arg("-c").arg(file);
                command
            }
            Kind::Ours | Kind::Rumqttd => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["broker", "--serve", kind.name(), "--port", &port.to_string()]);
                command
            }
        };
        let child = command.stdout(Stdio::null()).spawn();
        let mut process = Self {
            child: child.with_context(|| format!("{} does not start", kind.name()))?,
            port,
            _folder: folder,
        };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{} has ended: {status}", kind.name());
            }
            if start.elapsed() > START {
                bail!("{} does not listen", kind.name());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(process)
    }

    /// Processor time so far, in seconds.
    pub(super) fn cpu_s(&self) -> anyhow::Result<f64> {
        process::cpu_s(self.child.id())
    }

    /// Memory in use.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<f64> {
        process::memory_bytes(self.child.id(), "VmRSS:")
    }

    /// The most memory that was in use.
    pub(super) fn peak_bytes(&self) -> anyhow::Result<f64> {
        process::memory_bytes(self.child.id(), "VmHWM:")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a broker is left behind: {error}");
        }
    }
}

/// Lets this process and its brokers have as many connections as the system allows.
pub(super) fn raise_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files cannot be raised")
}

/// Is a broker until the process is killed.
pub(super) fn serve(kind: Kind, port: u16) -> anyhow::Result<ExitCode> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match kind {
        Kind::Ours => ours(listen),
        Kind::Rumqttd => rumqttd(listen),
        Kind::Mosquitto => bail!("mosquitto is a program of its own"),
    }
}

/// As `foreshadow-broker` does, with room for the connections of the bench.
fn ours(listen: SocketAddr) -> anyhow::Result<ExitCode> {
    let config = broker::Config {
        listen,
        limits: broker::Limits {
            max_connections: CONNECTIONS,
            ..broker::Limits::default()
        },
        ..broker::Config::default()
    };
    let work = async { Ok(broker::start(config, runtime::Shutdown::new()).await?.ended().await?) };
    Ok(tokio::runtime::Runtime::new()?.block_on(runtime::process::run(runtime::process::Reader::Person, work)))
}

fn rumqttd(listen: SocketAddr) -> anyhow::Result<ExitCode> {
    let server = rumqttd::ServerSettings {
        name: "v4".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 0,
        connections: rumqttd::ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 1024 * 1024,
            max_inflight_count: WINDOW,
            auth: None,
            external_auth: None,
            dynamic_filters: false,
        },
    };
    let config = rumqttd::Config {
        router: rumqttd::RouterConfig {
            max_connections: CONNECTIONS,
            max_outgoing_packet_count: 200,
            max_segment_size: 10 * 1024 * 1024,
            max_segment_count: 10,
            ..rumqttd::RouterConfig::default()
        },
        v4: Some([("v4".to_owned(), server)].into()),
        ..rumqttd::Config::default()
    };
    rumqttd::Broker::new(config).start()?;
    Ok(ExitCode::SUCCESS)
}

fn mosquitto() -> Option<&'static str> {
    MOSQUITTO.into_iter().find(|path| Path::new(path).exists())
}

fn configuration(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\nset_tcp_nodelay true\n\
         max_queued_messages 0\nmax_inflight_messages {WINDOW}\n"
    )
}
