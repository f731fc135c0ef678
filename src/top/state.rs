//! What is shown, and what keys do to it.

use std::collections::BTreeMap;

use brain::allocate::proposals::Proposal;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use shadow::Resource;

use crate::client::picture::{Fleet, Gauge, HostDetail, Rows, Series};

/// Lines around the hosts of the fleet view: the cell's, the titles, the keys.
pub(super) const AROUND: usize = 4;

/// The most hosts that are asked for at once.
pub(super) const MAX_ROWS: usize = 500;

/// By what hosts are put in order, the fullest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By the resource whose peak comes nearest to what is allocated, or passes it.
    Pressure,
    Name,
    Of(Resource),
}

impl Order {
    /// The word for people and for the page's API.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pressure => "pressure",
            Self::Name => "name",
            Self::Of(resource) => resource.as_str(),
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Pressure => Self::Name,
            Self::Name => Self::Of(Resource::Cpu),
            Self::Of(resource) => {
                let later = Resource::ALL.into_iter().skip_while(|other| *other != resource).nth(1);
                later.map_or(Self::Pressure, Self::Of)
            }
        }
    }
}

/// Which hosts are in sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) search: String,
    pub(super) order: Order,
    pub(super) reversed: bool,
    pub(super) offset: usize,
    pub(super) limit: usize,
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
    /// The hosts in sight.
    pub(super) rows: Rows,
    /// Recent values by host and resource.
    pub(super) series: BTreeMap<(String, Resource), Series>,
    /// The host that is looked at; `None` is the fleet.
    pub(super) host: Option<String>,
    pub(super) detail: Option<HostDetail>,
    /// What waits for somebody's word on that host.
    pub(super) proposals: Vec<Proposal>,
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
            rows: Rows::default(),
            series: BTreeMap::new(),
            host,
            detail: None,
            proposals: Vec::new(),
            order: Order::Pressure,
            reversed: false,
            search: String::new(),
            searching: false,
            selected: 0,
            help: false,
            fault: None,
        }
    }

    /// The hosts that are wanted where `height` lines are there: those around the selected one.
    pub(super) fn window(&self, height: usize) -> Window {
        let limit = height.saturating_sub(AROUND).clamp(1, MAX_ROWS);
        let last = self.rows.matching.saturating_sub(limit);
        Window {
            search: self.search.clone(),
            order: self.order,
            reversed: self.reversed,
            offset: (self.selected + 1).saturating_sub(limit).min(last),
            limit,
        }
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
        let last = self.rows.matching.saturating_sub(1);
        match key.code {
            KeyCode::Char('q') => return Turn::Quit,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if self.host.is_some() => self.leave(),
            KeyCode::Esc => self.search_key(KeyCode::Esc),
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('/') => (self.searching, self.host) = (true, None),
            KeyCode::Char('s') => self.arrange(self.order.next(), self.reversed),
            KeyCode::Char('r') => self.arrange(self.order, !self.reversed),
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

    fn arrange(&mut self, order: Order, reversed: bool) {
        (self.order, self.reversed) = (order, reversed);
        self.rows.rows.clear();
    }

    /// What is in sight is of the search before: nothing of it can be entered.
    fn search_key(&mut self, code: KeyCode) {
        self.selected = 0;
        if code != KeyCode::Enter {
            self.rows.rows.clear();
        }
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

    /// Looks at the selected host; of one out of sight the name is not known yet.
    fn enter(&mut self) {
        let at = self.selected.checked_sub(self.rows.offset);
        if let Some(row) = at.and_then(|at| self.rows.rows.get(at)) {
            self.host = Some(row.name.clone());
            self.detail = None;
            self.proposals.clear();
        }
    }

    fn leave(&mut self) {
        (self.host, self.detail) = (None, None);
        self.proposals.clear();
    }
}

/// The share of its capacity that a gauge has now or is forecast to have, the higher of both.
pub(super) fn share(gauge: &Gauge) -> Option<f64> {
    let capacity = gauge.capacity.filter(|capacity| *capacity > 0.0)?;
    let highest = gauge.value.into_iter().chain(gauge.peak).reduce(f64::max)?;
    Some(highest / capacity)
}
