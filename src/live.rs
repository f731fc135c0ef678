//! The live line: what goes on, in one line, for a person who watches.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use brain::snapshot::{CommandView, Snapshot};
use runtime::Shutdown;
use tokio::{sync::watch, time};

/// Where the line cannot be rewritten it is printed once in so many seconds.
const PLAIN_EVERY: u32 = 10;

/// Prints the line each second on a terminal (rewriting it), each ten seconds elsewhere, until `shutdown`.
pub(crate) async fn show(snapshot: watch::Receiver<Arc<Snapshot>>, shutdown: &Shutdown) {
    let terminal = io::stdout().is_terminal();
    let mut seconds = time::interval(Duration::from_secs(1));
    let mut text = String::new();
    for turn in 1_u32.. {
        tokio::select! {
            () = shutdown.wait() => break,
            _ = seconds.tick() => {}
        }
        text = line(&snapshot.borrow());
        // Nobody reading any more is no reason to stop.
        drop(print(&text, terminal, turn));
    }
    if terminal {
        // Written anew: a terminal has put its ^C behind it.
        drop(print(&text, terminal, 1));
        drop(writeln!(io::stdout()));
    }
}

fn print(text: &str, terminal: bool, turn: u32) -> io::Result<()> {
    let mut out = io::stdout();
    if terminal {
        write!(out, "\r\x1b[2K{}", cut(text, columns()))?;
    } else if turn.is_multiple_of(PLAIN_EVERY) {
        writeln!(out, "{text}")?;
    }
    out.flush()
}

/// How wide the terminal is; 80 where it does not tell.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.ok().map_or(80, |size| usize::from(size.ws_col)).max(20)
}

/// What fits before the last column: what wrapped could not be rewritten.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() < columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(2)).collect();
    kept + "…"
}

/// Hosts, samples a second, age of the newest forecast and the LSTM's share of all, last command and what came of it.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    let online = snapshot.hosts.iter().filter(|host| host.state == "online").count();
    let hosts = format!("{online}/{} hosts", snapshot.hosts.len());
    let samples = format!("{:.1} samples/s", snapshot.totals.samples_per_s);
    [hosts, samples, forecast(snapshot), command(snapshot.commands.first())].join(" | ")
}

fn forecast(snapshot: &Snapshot) -> String {
    let resources = snapshot.hosts.iter().flat_map(|host| &host.resources);
    let newest = resources
        .flat_map(|resource| &resource.forecasts)
        .max_by_key(|forecast| forecast.made_ms);
    let Some(newest) = newest else {
        return "no forecast yet".to_owned();
    };
    let age_s = (snapshot.time_ms - newest.made_ms).max(0) / 1_000;
    let [_, _, lstm] = snapshot.model.served.map(|share| share * 100.0);
    format!("forecast {age_s} s old, {lstm:.0} % lstm")
}

fn command(newest: Option<&CommandView>) -> String {
    let Some(newest) = newest else {
        return "no command yet".to_owned();
    };
    let state = newest.outcome.as_ref().map_or("sent", |outcome| outcome.state.as_str());
    let Some(change) = newest.command.changes.first() else {
        return format!("{} {state}", newest.command.host);
    };
    format!(
        "{} {} {} {state}",
        newest.command.host, change.workload, change.resource
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_before_the_edge() {
        assert_eq!(cut("abcdef", 7), "abcdef");
        assert_eq!(cut("abcdef", 6), "abcd…");
        assert_eq!(cut("äöüäöü", 4), "äö…");
    }

    #[test]
    fn an_empty_brain_says_so() {
        let text = line(&Snapshot::default());
        assert_eq!(text, "0/0 hosts | 0.0 samples/s | no forecast yet | no command yet");
    }
}
