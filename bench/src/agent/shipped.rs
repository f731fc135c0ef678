//! The agent as it is shipped: a process of its own, with a configuration as an operator would write it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::ensure;

/// Whom an agent speaks for, and to whom.
pub(super) struct Setup<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The folder of certificates, where it is over TLS.
    pub(super) certificates: Option<&'a Path>,
    /// Probes that are left out.
    pub(super) off: &'a [&'a str],
}

/// The slim agent that was built with this bench, where no other is named.
pub(super) fn beside_this() -> anyhow::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("foreshadow-agent"))
}

/// The start of `program` on a host that is never at rest, with a configuration in `folder`.
pub(super) fn command(program: &Path, folder: &Path, setup: &Setup<'_>) -> anyhow::Result<Command> {
    ensure!(
        program.exists(),
        "{} is not there: cargo build --profile dist -p foreshadow-agent, and --agent PATH",
        program.display()
    );
    let file = folder.join("agent.toml");
    fs::write(&file, configuration(folder, setup))?;
    let mut command = Command::new(program);
    command.arg("--config").arg(&file);
    Ok(command)
}

fn configuration(folder: &Path, setup: &Setup<'_>) -> String {
    let Setup { host, port, off, .. } = setup;
    let tls = setup.certificates.map(|from| {
        let from = from.display();
        format!("tls = {{ ca = \"{from}/ca.pem\", certificate = \"{from}/agent.pem\", key = \"{from}/agent.key\" }}\n")
    });
    format!(
        "host = \"{host}\"\nruntime_dir = \"{}\"\n\
         [broker]\nhost = \"127.0.0.1\"\nport = {port}\n{}\
         [pace]\nmax = \"100ms\"\nbudget = 1.0\n\
         [probes]\noff = {off:?}\n",
        folder.join("run").display(),
        tls.unwrap_or_default()
    )
}
