//! What is on the screen, asked of the brain beside it, so that keys are never kept waiting.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use brain::allocate::proposals::{Fate, Proposal};
use shadow::Resource;
use tokio::{
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};

use super::state::{Order, Window};
use crate::client::{
    Page,
    picture::{Fleet, HostDetail, Newest, Rows, Series},
};

/// How long the last hour of a host in the fleet view stays as it is.
const HOUR_STAYS: Duration = Duration::from_secs(30);

/// What is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) window: Window,
    /// The host that is looked at; `None` is the fleet.
    pub(super) host: Option<String>,
}

/// What the brain told.
#[derive(Debug)]
pub(super) enum News {
    Fleet(Box<Fleet>, Rows),
    Host(Box<HostDetail>),
    Proposals(String, Vec<Proposal>),
    Series(String, Resource, Series),
    Fault(String),
}

/// Asks for what is wanted each `every`, and at once when that changes, until nobody wants anything.
pub(super) async fn run(page: Page, every: Duration, mut wanted: watch::Receiver<Wanted>, news: mpsc::Sender<News>) {
    let mut turns = time::interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut feed = Feed {
        page,
        news,
        hours: BTreeMap::new(),
    };
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
        let now = wanted.borrow_and_update().clone();
        if let Err(fault) = feed.turn(&now).await {
            drop(feed.news.send(News::Fault(format!("{fault:#}"))).await);
        }
    }
}

struct Feed {
    page: Page,
    news: mpsc::Sender<News>,
    /// When a host's last hour was asked for.
    hours: BTreeMap<String, Instant>,
}

impl Feed {
    async fn turn(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        let fleet = Box::new(self.page.get("/api/v1/fleet").await?);
        let rows = rows(&self.page, &wanted.window).await?;
        let in_sight: Vec<String> = rows.rows.iter().map(|row| row.name.clone()).collect();
        self.news.send(News::Fleet(fleet, rows)).await?;
        let Some(host) = &wanted.host else {
            return self.last_hours(&in_sight).await;
        };
        let detail: HostDetail = self.page.get(&format!("/api/v1/hosts/{host}")).await?;
        let measured = measured(&detail);
        self.news.send(News::Host(Box::new(detail))).await?;
        for resource in measured {
            self.series(host, resource).await?;
        }
        let open = open(&self.page, host).await?;
        Ok(self.news.send(News::Proposals(host.clone(), open)).await?)
    }

    async fn last_hours(&mut self, hosts: &[String]) -> anyhow::Result<()> {
        self.hours.retain(|_, asked| asked.elapsed() < HOUR_STAYS);
        for host in hosts {
            if !self.hours.contains_key(host) {
                self.hours.insert(host.clone(), Instant::now());
                self.series(host, Resource::Cpu).await?;
            }
        }
        Ok(())
    }

    async fn series(&self, host: &str, resource: Resource) -> anyhow::Result<()> {
        let series = last_hour(&self.page, host, resource).await?;
        Ok(self.news.send(News::Series(host.to_owned(), resource, series)).await?)
    }
}

/// The hosts of a window.
///
/// # Errors
/// As [`Page::get`].
pub(super) async fn rows(page: &Page, window: &Window) -> anyhow::Result<Rows> {
    let Window {
        order, offset, limit, ..
    } = window;
    // Names begin with the first, all else with the fullest.
    let descends = (*order == Order::Name) == window.reversed;
    let descends = if descends { "descending" } else { "ascending" };
    let (sort, search) = (order.as_str(), escaped(&window.search));
    let path = format!("/api/v1/hosts?sort={sort}&order={descends}&offset={offset}&limit={limit}&search={search}");
    page.get(&path).await
}

/// As a query of an address has it: all but letters and digits by their bytes.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The resources of a host that have values.
pub(super) fn measured(detail: &HostDetail) -> Vec<Resource> {
    let views = detail.host.resources.iter().filter(|view| view.value.is_some());
    views.map(|view| view.resource).collect()
}

/// What waits for somebody's word on a host.
///
/// # Errors
/// As [`Page::get`].
pub(super) async fn open(page: &Page, host: &str) -> anyhow::Result<Vec<Proposal>> {
    let Newest { mut rows } = page.get(&format!("/api/v1/proposals?host={host}")).await?;
    rows.retain(|known: &Proposal| known.fate == Fate::Open);
    Ok(rows)
}

/// The last hour of one of them.
///
/// # Errors
/// As [`Page::get`].
pub(super) async fn last_hour(page: &Page, host: &str, resource: Resource) -> anyhow::Result<Series> {
    page.get(&format!("/api/v1/hosts/{host}/series?resource={resource}&minutes=60"))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stays_a_value_of_its_address() {
        assert_eq!(escaped("web-1 &ä"), "web%2D1%20%26%C3%A4");
    }
}
