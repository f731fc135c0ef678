//! collectd with the plugins that read the same files, and its output over MQTT. Debian: `collectd-core`,
//! `libmosquitto1`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

/// Where distributions put it.
const PROGRAMS: [&str; 2] = ["/usr/sbin/collectd", "/usr/local/sbin/collectd"];

/// The program; `None` where it is not installed.
pub(super) fn program() -> Option<PathBuf> {
    PROGRAMS.into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// Its start, with a configuration in `folder`.
pub(super) fn command(folder: &Path, port: u16) -> anyhow::Result<Command> {
    let file = folder.join("collectd.conf");
    fs::write(&file, configuration(folder, port))?;
    let mut command = Command::new(program().context("not installed")?);
    command.arg("-f").arg("-C").arg(&file);
    Ok(command)
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let plugins = ["cpu", "memory", "interface", "disk", "load"].map(|plugin| format!("LoadPlugin {plugin}\n"));
    format!(
        "BaseDir \"{folder}\"\nPIDFile \"{folder}/pid\"\nTypesDB \"/usr/share/collectd/types.db\"\nInterval 0.1\n\
         {}LoadPlugin mqtt\n<Plugin mqtt>\n  <Publish \"out\">\n    Host \"127.0.0.1\"\n    Port {port}\n    \
         ClientId \"collectd\"\n    Prefix \"collectd\"\n  </Publish>\n</Plugin>\n",
        plugins.concat()
    )
}
