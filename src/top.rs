//! The cell in a terminal: the fleet, and each host with its past and forecasts.

mod feed;
mod fleet;
mod host;
mod paint;
mod state;
#[cfg(test)]
mod tests;

use std::{io, thread, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
    text::{Line, Text},
};
use runtime::{Shutdown, Span, output, process::Usage};
use serde_json::{Value, json};
use shadow::Resource;
use tokio::sync::{mpsc, watch};

use self::{
    feed::{News, Wanted, last_hour, measured, open, rows},
    state::{AROUND, MAX_ROWS, Top, Turn},
};
use crate::client::{Page, picture::HostDetail, words::harmless};

/// The size of a terminal that does not tell.
const PLAIN: (usize, usize) = (80, 24);
/// So many hosts are in one picture of the fleet.
const AT_ONCE: usize = 50;
/// How often the keyboard is asked whether anybody still waits for it.
const KEYS_EVERY: Duration = Duration::from_millis(200);

const HELP: &[&str] = &[
    "up, down, j, k        another host         page up, page down, home, end",
    "enter, right          the host's view      esc, left   back to the fleet",
    "s                     order by pressure, name, or the share of a resource in use",
    "r                     reverse the order",
    "/                     only hosts with what you type: name, inventory, workload",
    "q, ctrl-c             quit",
    "",
    "now›peak              the value now, and the highest p95 of the next 15 min",
    "pressure              a host's highest peak as a share of what is allocated",
    "yellow, red           from 75 and 90 % of what there is, now or forecast",
    "5 min 40‥55           p50 and p95 in five minutes",
    "",
    "any key               back",
];

/// Over ssh too: it wants nothing but a terminal of 80 columns.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    page: Page,
    /// Begin with this host
    #[arg(long, value_name = "NAME", value_parser = crate::inspect::name)]
    host: Option<String>,
    /// Ask the brain so often
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    every: Span,
    /// Print one picture and end
    #[arg(long)]
    once: bool,
    /// Print what the picture is made of, as the page's API tells it
    #[arg(long, requires = "once")]
    json: bool,
}

pub(crate) async fn main(arguments: TopArgs) -> anyhow::Result<()> {
    ensure!(
        !arguments.every.is_zero(),
        Usage("--every: it is at least a millisecond".to_owned())
    );
    if arguments.json {
        let told = json(&arguments).await?;
        return Ok(output::print_line(&serde_json::to_string(&told)?)?);
    }
    if arguments.once {
        return once(&arguments).await;
    }
    ensure!(
        output::width().is_some(),
        "top draws on a terminal, and this is none: --once prints one picture, --once --json what it is made of"
    );
    let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
    let ended = watch(&mut terminal, arguments).await;
    ratatui::restore();
    ended
}

fn path(host: &str) -> String {
    format!("/api/v1/hosts/{host}")
}

/// What the page tells of a host, or of the cell and all its hosts.
async fn json(arguments: &TopArgs) -> anyhow::Result<Value> {
    let page = &arguments.page;
    if let Some(host) = &arguments.host {
        return page.get(&path(host)).await;
    }
    let fleet: Value = page.get("/api/v1/fleet").await?;
    let mut hosts = Vec::new();
    loop {
        let offset = hosts.len();
        let rows: Value = page
            .get(&format!("/api/v1/hosts?offset={offset}&limit={MAX_ROWS}"))
            .await?;
        let more = rows.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
        if more.is_empty() {
            return Ok(json!({ "fleet": fleet, "hosts": hosts }));
        }
        hosts.extend(more);
    }
}

/// One picture without colours: of the hosts with most pressure, or of one.
async fn once(arguments: &TopArgs) -> anyhow::Result<()> {
    let mut top = Top::new(arguments.host.clone());
    let page = &arguments.page;
    let (height, wanted) = if let Some(host) = &arguments.host {
        let detail: HostDetail = page.get(&path(host)).await?;
        let measured = measured(&detail);
        top.detail = Some(detail);
        top.proposals = open(page, host).await?;
        let wanted = measured.into_iter().map(|resource| (host.clone(), resource));
        (PLAIN.1, wanted.collect::<Vec<_>>())
    } else {
        top.fleet = Some(page.get("/api/v1/fleet").await?);
        top.rows = rows(page, &top.window(AT_ONCE + AROUND)).await?;
        let names = top.rows.rows.iter().map(|row| (row.name.clone(), Resource::Cpu));
        (top.rows.rows.len() + AROUND, names.collect())
    };
    for (host, resource) in wanted {
        let series = last_hour(page, &host, resource).await?;
        top.series.insert((host, resource), series);
    }
    let lines = lines(&top, output::width().unwrap_or(PLAIN.0), height);
    // The last line tells keys.
    let picture = lines.iter().take(lines.len().saturating_sub(1));
    let text: Vec<String> = picture.map(|line| harmless(&line.to_string())).collect();
    Ok(output::print_line(text.join("\n").trim_end())?)
}

/// What is shown in `width` columns and `height` lines.
fn lines(top: &Top, width: usize, height: usize) -> Vec<Line<'static>> {
    if top.help {
        return HELP.iter().map(|line| Line::from(*line)).collect();
    }
    if top.host.is_some() {
        host::lines(top, width, height)
    } else {
        fleet::lines(top, width, height)
    }
}

/// Draws until somebody quits, or the process is to end.
async fn watch(terminal: &mut DefaultTerminal, arguments: TopArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let mut keys = keyboard();
    let mut top = Top::new(arguments.host);
    let (want, wanted) = watch::channel(wants(&top, PLAIN.1));
    let (tell, mut news) = mpsc::channel(64);
    let feed = tokio::spawn(feed::run(arguments.page, arguments.every.duration(), wanted, tell));
    loop {
        let (width, height) = draw(terminal, &top)?;
        want.send_if_modified(|wanted| {
            let now = wants(&top, height);
            let is_new = *wanted != now;
            *wanted = now;
            is_new
        });
        let turn = tokio::select! {
            () = shutdown.wait() => Turn::Quit,
            Some(event) = keys.recv() => match event? {
                Event::Key(key) if key.is_press() => top.key(key, height.saturating_sub(AROUND)),
                _ => Turn::On,
            },
            Some(told) = news.recv() => {
                take(&mut top, told);
                Turn::On
            }
        };
        if turn == Turn::Quit || width == 0 {
            break;
        }
    }
    feed.abort();
    Ok(())
}

/// The terminal's size as it was drawn on.
fn draw(terminal: &mut DefaultTerminal, top: &Top) -> anyhow::Result<(usize, usize)> {
    let mut size = PLAIN;
    terminal.draw(|frame| {
        let area = frame.area();
        size = (usize::from(area.width), usize::from(area.height));
        frame.render_widget(Text::from(lines(top, size.0, size.1)), area);
    })?;
    Ok(size)
}

fn wants(top: &Top, height: usize) -> Wanted {
    Wanted {
        window: top.window(height),
        host: top.host.clone(),
    }
}

fn take(top: &mut Top, told: News) {
    let old = top.fault.take();
    match told {
        News::Fleet(fleet, rows) => {
            let is_shown =
                |host: &String| top.host.as_ref() == Some(host) || rows.rows.iter().any(|row| row.name == *host);
            top.series.retain(|(host, _), _| is_shown(host));
            top.selected = top.selected.min(rows.matching.saturating_sub(1));
            (top.fleet, top.rows) = (Some(*fleet), rows);
        }
        News::Host(detail) => {
            if top.host.as_ref() == Some(&detail.host.name) {
                top.detail = Some(*detail);
            }
        }
        News::Proposals(host, open) => {
            if top.host.as_ref() == Some(&host) {
                top.proposals = open;
            }
            top.fault = old;
        }
        News::Series(host, resource, series) => {
            top.series.insert((host, resource), series);
            top.fault = old;
        }
        News::Fault(fault) => top.fault = Some(fault),
    }
}

/// Keys and changes of size, from a thread that waits for them; it ends soon after nobody takes them any more.
fn keyboard() -> mpsc::Receiver<io::Result<Event>> {
    let (tell, events) = mpsc::channel(16);
    thread::spawn(move || {
        while !tell.is_closed() {
            let event = match event::poll(KEYS_EVERY) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(fault) => Err(fault),
            };
            let is_over = event.is_err();
            if tell.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    });
    events
}
