//! collectd with the plugins that read the same files, and its output over MQTT. Debian: `collectd-core`,
//! `libmosquitto1`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;

use super::Cost;
use crate::process::{cpu_s, memory_bytes};

/// Where distributions put it.
const PROGRAMS: [&str; 2] = ["/usr/sbin/collectd", "/usr/local/sbin/collectd"];

/// Time until it has read its configuration and has connected.
const WARM_UP: Duration = Duration::from_secs(1);

/// Runs it for `length`; `None`, with the reason printed, where it is not installed.
pub(super) fn measure(length: Duration, port: u16) -> anyhow::Result<Option<Cost>> {
    let Some(program) = PROGRAMS.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("collectd is left out: it is not installed");
        return Ok(None);
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("collectd.conf");
    fs::write(&file, configuration(folder.path(), port))?;
    let mut child = Command::new(program)
        .arg("-f")
        .arg("-C")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("collectd does not start")?;
    thread::sleep(WARM_UP);
    let before = cpu_s(child.id());
    thread::sleep(length.saturating_sub(WARM_UP));
    let measured = cpu_s(child.id()).and_then(|after| {
        let samples = length.saturating_sub(WARM_UP).as_secs_f64() * 10.0;
        Ok(Cost {
            cpu_us_per_sample: (after - before?) * 1e6 / samples,
            rss_mb: memory_bytes(child.id(), "VmRSS:")? / 1e6,
        })
    });
    child.kill()?;
    child.wait()?;
    measured.map(Some)
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
