//! What is shown, and what keys do to it.

use std::{cmp::Ordering, collections::BTreeMap, ops::Range};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use shadow::Resource;

use crate::client::picture::{Fleet, Gauge, HostDetail, HostLine, Series};

/// Lines around the hosts of the fleet view: the cell's, the titles, the keys.
pub(super) const AROUND: usize = 4;

/// By what hosts are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By the resource that comes nearest to its capacity, now or by the forecast.
    Load,
    Name,
    Of(Resource),
}

impl Order {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Name => "name",
            Self::Of(resource) => resource.as_str(),
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Load => Self::Name,
            Self::Name => Self::Of(Resource::Cpu),
            Self::Of(resource) => {
                let later = Resource::ALL.into_iter().skip_while(|other| *other != resource).nth(1);
                later.map_or(Self::Load, Self::Of)
            }
        }
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    On,
    Quit,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) fleet: Option<Fleet>,
    /// Recent values by host and resource.
    pub(super) series: BTreeMap<(String, Resource), Series>,
    /// The host that is looked at; `None` is the fleet.
    pub(super) host: Option<String>,
    pub(super) detail: Option<HostDetail>,
    pub(super) order: Order,
    pub(super) reversed: bool,
    /// Hosts whose names have it are shown.
    pub(super) search: String,
    /// Keys go into the search.
    pub(super) searching: bool,
    /// Which of the shown hosts is selected.
    pub(super) selected: usize,
    pub(super) help: bool,
    /// Why the picture is old.
    pub(super) fault: Option<String>,
}

impl Top {
    pub(super) fn new(host: Option<String>) -> Self {
        Self {
            fleet: None,
            series: BTreeMap::new(),
            host,
            detail: None,
            order: Order::Load,
            reversed: false,
            search: String::new(),
            searching: false,
            selected: 0,
            help: false,
            fault: None,
        }
    }

    /// The hosts that are searched for, in order.
    pub(super) fn hosts(&self) -> Vec<&HostLine> {
        let all = self.fleet.iter().flat_map(|fleet| &fleet.hosts);
        let mut hosts: Vec<&HostLine> = all.filter(|host| host.name.contains(&self.search)).collect();
        // Names come in order: equals keep it.
        hosts.sort_by(|a, b| self.compare(a, b));
        if self.reversed {
            hosts.reverse();
        }
        hosts
    }

    fn compare(&self, a: &HostLine, b: &HostLine) -> Ordering {
        let highest_first =
            |of: fn(&HostLine, Option<Resource>) -> f64, resource| of(b, resource).total_cmp(&of(a, resource));
        match self.order {
            Order::Load => highest_first(load, None),
            Order::Name => a.name.cmp(&b.name),
            Order::Of(resource) => highest_first(load, Some(resource)),
        }
    }

    /// Which of `hosts` hosts fit into `height` lines, so that the selected one is among them.
    pub(super) fn window(&self, hosts: usize, height: usize) -> Range<usize> {
        let rows = height.saturating_sub(AROUND).max(1);
        let first = (self.selected + 1).saturating_sub(rows).min(hosts.saturating_sub(rows));
        first..(first + rows).min(hosts)
    }

    /// What a key does, where `page` hosts are a screen full.
    pub(super) fn key(&mut self, key: KeyEvent, page: usize) -> Turn {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Turn::Quit;
        }
        if self.help {
            self.help = false;
            return Turn::On;
        }
        if self.searching {
            self.search_key(key.code);
            return Turn::On;
        }
        let last = self.hosts().len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') => return Turn::Quit,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if self.host.is_some() => self.leave(),
            KeyCode::Esc => self.search.clear(),
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('/') => (self.searching, self.host) = (true, None),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected.saturating_add(1).min(last)),
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::PageDown => self.select(self.selected.saturating_add(page).min(last)),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(page)),
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(last),
            KeyCode::Enter | KeyCode::Right if self.host.is_none() => self.enter(),
            _ => {}
        }
        Turn::On
    }

    fn search_key(&mut self, code: KeyCode) {
        self.selected = 0;
        match code {
            KeyCode::Enter => self.searching = false,
            KeyCode::Esc => {
                self.searching = false;
                self.search.clear();
            }
            KeyCode::Backspace => drop(self.search.pop()),
            KeyCode::Char(letter) => self.search.push(letter),
            _ => {}
        }
    }

    /// Selects a host; from within a host's view it is the one looked at then.
    fn select(&mut self, index: usize) {
        self.selected = index;
        if self.host.is_some() {
            self.enter();
        }
    }

    fn enter(&mut self) {
        let selected = self.hosts().get(self.selected).map(|host| host.name.clone());
        self.host = selected;
        self.detail = None;
    }

    fn leave(&mut self) {
        (self.host, self.detail) = (None, None);
    }
}

/// The share of its capacity that a host's resource (or the one with the highest) has now or is forecast to have; -1 where
/// that is not known, so that it comes last.
fn load(host: &HostLine, resource: Option<Resource>) -> f64 {
    let gauges = host
        .resources
        .iter()
        .filter(|gauge| resource.is_none_or(|resource| gauge.resource == resource));
    let of = |gauge: &Gauge| share(gauge).or_else(|| resource.and(gauge.value));
    gauges.filter_map(of).fold(-1.0, f64::max)
}

/// The share of its capacity that a gauge has now or is forecast to have, the higher of both.
pub(super) fn share(gauge: &Gauge) -> Option<f64> {
    let capacity = gauge.capacity.filter(|capacity| *capacity > 0.0)?;
    let highest = gauge.value.into_iter().chain(gauge.p95).reduce(f64::max)?;
    Some(highest / capacity)
}
