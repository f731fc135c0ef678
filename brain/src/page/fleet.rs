//! What the page asks for each second: parts of a snapshot, borrowed, as small for a large fleet as for a small one.

use serde::Serialize;
use shadow::UnixMs;
use utoipa::ToSchema;

use crate::{
    allocate::proposals::Fate,
    dispatch::Freeze,
    snapshot::{
        AnomalyView, CommandView, EventView, HeldStep, HostView, IncidentView, ModelView, PoolView, Snapshot, Totals,
    },
};

/// How many of the newest commands, events, incidents and anomalies of a host go along.
const NEWEST: usize = 50;

/// The cell at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fleet<'a> {
    /// When the picture was taken.
    time_ms: UnixMs,
    /// Milliseconds since it came: more than 30,000 where the engine stands still, whose pictures come every second.
    age_ms: u64,
    cell: &'a str,
    /// `recommend-only`, `recommend` where each change waits for approval, `acting` where commands are carried out, or `frozen`.
    mode: &'a str,
    freeze: Option<&'a Freeze>,
    hosts: HostCounts,
    incidents: IncidentCounts,
    /// What the cell as a whole has, where it has limits.
    pool: Vec<&'a PoolView>,
    model: &'a ModelView,
    totals: &'a Totals,
    /// Requests that wait for the pool.
    queued: u64,
    /// Proposals that wait for somebody's word.
    proposals: usize,
    /// Needs that cannot be met, in words; some of them where they are many.
    unmet: &'a [String],
}

/// How many hosts are in which state.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct HostCounts {
    all: usize,
    online: usize,
    bmc_only: usize,
    stale: usize,
    offline: usize,
}

/// How many incidents go on, among the newest hundred or so.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct IncidentCounts {
    open: usize,
    critical: usize,
    warning: usize,
    /// Open ones of which nobody has taken notice.
    unnoticed: usize,
}

impl<'a> Fleet<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, age_ms: u64) -> Self {
        Self {
            time_ms: snapshot.time_ms,
            age_ms,
            cell: &snapshot.cell,
            mode: &snapshot.mode,
            freeze: snapshot.freeze.as_ref(),
            hosts: HostCounts::of(&snapshot.hosts),
            incidents: IncidentCounts::of(&snapshot.incidents),
            pool: snapshot.pool.iter().filter(|pool| pool.host.is_none()).collect(),
            model: &snapshot.model,
            totals: &snapshot.totals,
            queued: snapshot.plan.as_ref().map_or(0, |plan| plan.queued),
            proposals: snapshot
                .proposals
                .iter()
                .filter(|known| known.fate == Fate::Open)
                .count(),
            unmet: snapshot.unmet.get(..NEWEST).unwrap_or(&snapshot.unmet),
        }
    }
}

impl HostCounts {
    fn of(hosts: &[HostView]) -> Self {
        let mut counts = Self {
            all: hosts.len(),
            ..Self::default()
        };
        for host in hosts {
            match host.state.as_str() {
                "online" => counts.online += 1,
                "bmc only" => counts.bmc_only += 1,
                "stale" => counts.stale += 1,
                _ => counts.offline += 1,
            }
        }
        counts
    }
}

impl IncidentCounts {
    fn of(incidents: &[IncidentView]) -> Self {
        let open = || incidents.iter().filter(|incident| incident.goes_on);
        let of = |severity: &str| open().filter(|incident| incident.severity == severity).count();
        Self {
            open: open().count(),
            critical: of("critical"),
            warning: of("warning"),
            unnoticed: open().filter(|incident| incident.acknowledged_ms.is_none()).count(),
        }
    }
}

/// One host with its pool, commands, events, incidents and anomalies, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HostDetail<'a> {
    /// When the picture was taken.
    time_ms: UnixMs,
    /// Milliseconds since it came, as of the whole cell.
    age_ms: u64,
    host: &'a HostView,
    pool: Vec<&'a PoolView>,
    /// What was reserved over time, since the brain started, oldest first.
    held: &'a [HeldStep],
    commands: Vec<&'a CommandView>,
    anomalies: Vec<&'a AnomalyView>,
    incidents: Vec<&'a IncidentView>,
    events: Vec<&'a EventView>,
}

impl<'a> HostDetail<'a> {
    /// `None` when the host was never seen.
    pub(super) fn of(snapshot: &'a Snapshot, age_ms: u64, name: &str) -> Option<Self> {
        let host = snapshot.hosts.iter().find(|host| host.name == name)?;
        let pool = snapshot.pool.iter();
        Some(Self {
            time_ms: snapshot.time_ms,
            age_ms,
            host,
            pool: pool.filter(|pool| pool.host.as_deref() == Some(name)).collect(),
            held: &host.held,
            commands: own(&snapshot.commands, |view| view.command.host == name),
            anomalies: own(&snapshot.anomalies, |view| view.host == name),
            incidents: own(&snapshot.incidents, |view| view.host == name),
            events: own(&snapshot.events, |view| view.host == name),
        })
    }
}

fn own<T>(all: &[T], is_own: impl Fn(&&T) -> bool) -> Vec<&T> {
    all.iter().filter(is_own).take(NEWEST).collect()
}
