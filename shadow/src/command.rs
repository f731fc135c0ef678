//! Commands: changes of allocations on one host, their reasons and what came of them.

use serde::{Deserialize, Serialize};

use crate::{Resource, UnixMs};

/// The strategy of a change that changes nothing: what is held is told again before it runs out.
pub const LEASE: &str = "lease";

/// One change of allocations on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// Unique for ever: issuer epoch, host and sequence.
    pub id: String,
    /// The host that it is for.
    pub host: String,
    /// Fencing: one of an older issuer epoch is refused.
    pub issuer_epoch: u64,
    /// 1, 2, 3, ... within the issuer epoch and host.
    pub sequence: u64,
    /// When the brain issued it: not to be obeyed before.
    pub issued_ms: UnixMs,
    /// How long it holds, from receipt, on the agent's monotonic clock.
    pub ttl_ms: u64,
    /// The agent guards it and reports what it would have done, but writes nothing.
    pub dry_run: bool,
    /// What to change.
    pub changes: Vec<Change>,
    /// What is asked beyond reservations.
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// One workload's new reservation of one resource, in cores, bytes, bytes/s or watts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// Whose reservation.
    pub workload: String,
    /// Of what.
    pub resource: Resource,
    /// What the brain believes it is now.
    pub before: Option<f64>,
    /// What it is to be.
    pub target: f64,
    /// Under pressure the agent may raise it by itself up to here; `None`: not at all.
    #[serde(default)]
    pub ceiling: Option<f64>,
    /// Why.
    pub explanation: Explanation,
}

/// What is asked of a host that is no reservation of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Action {
    /// What to do.
    pub kind: ActionKind,
    /// With which workload; empty for the host as a whole.
    pub workload: String,
    /// How much of it, in the unit of `kind`.
    pub amount: Option<f64>,
    /// Why.
    pub explanation: Explanation,
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Switches the host on, through its BMC. There is none that switches it off.
    ChassisOn,
    /// Lets a workload have so many tasks (processes and threads).
    LimitTasks,
}

impl ActionKind {
    /// The word in configuration, tables and views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChassisOn => "chassis_on",
            Self::LimitTasks => "limit_tasks",
        }
    }
}

/// Why a change was asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// `preemptive`, `dynamic` or `priority`.
    pub strategy: String,
    /// One sentence for people.
    pub text: String,
    /// The quantile that was reserved for, 0 to 1.
    pub quantile: f64,
    /// The forecast at that quantile, in the change's unit.
    pub forecast: f64,
    /// What was put on top, as a share of the forecast.
    pub margin: f64,
    /// The horizon of the forecast, in seconds.
    pub horizon_s: u32,
    /// Which step of the ladder made it: `last`, `ewma` or `lstm`; `present` where the present use counts alone, `books` where
    /// a rule's books decide.
    pub rung: String,
    /// The bound that held the target: `capacity`, `floor`, `ceiling`, `slew`, `pool`, `hurt`; empty when none did.
    pub clamp: String,
    /// What was considered and not taken.
    pub rejected: String,
    /// Share of the values that the forecast's p95 held lately, 0 to 1; `None` where it is not known.
    #[serde(default)]
    pub coverage: Option<f64>,
    /// What was used at the time of the plan, in the change's unit; `None` where it was not measured.
    #[serde(default)]
    pub used: Option<f64>,
    /// What was asked for in all, in the change's unit; `None` where nothing was.
    #[serde(default)]
    pub wanted: Option<f64>,
    /// What of `margin` was learnt from what came of earlier changes.
    #[serde(default)]
    pub learnt: f64,
    /// Falls after a rise that counted at the time.
    #[serde(default)]
    pub turns: u32,
}

/// What an agent did with a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// Of which command.
    pub command_id: String,
    /// What became of it.
    pub state: OutcomeState,
    /// Why, where it was not applied.
    pub reason: String,
    /// When.
    pub time_ms: UnixMs,
    /// One entry a change, in the command's order; empty when refused as a whole.
    pub changes: Vec<ChangeOutcome>,
    /// One entry an action, likewise.
    #[serde(default)]
    pub actions: Vec<ActionOutcome>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// Written and read back.
    Applied,
    /// Guarded; what would have been done is told.
    DryRun,
    /// The guard said no.
    Refused,
    /// Its time ran out; what it had changed is as it was before.
    Expired,
    /// Writing it failed; what it had changed is as it was before.
    Failed,
    /// Nobody vouches for what came under this id, or it came again and nobody remembers the answer. It says nothing of the command of this id that the brain has sent.
    Distrusted,
    /// It holds, and under pressure the agent has raised what [`ChangeOutcome::effect`] says.
    Raised,
    /// It holds, but for what [`ChangeOutcome::effect`] says: that has hurt and was taken back.
    Hurt,
}

impl OutcomeState {
    /// The word in tables, views and the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::DryRun => "dry_run",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Distrusted => "distrusted",
            Self::Raised => "raised",
            Self::Hurt => "hurt",
        }
    }
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeOutcome {
    /// Whose reservation.
    pub workload: String,
    /// Of what.
    pub resource: Resource,
    /// The value found.
    pub before: Option<f64>,
    /// The value now (in a dry run: what it would be).
    pub after: Option<f64>,
    /// What was, or would be, written: `cpu.max`, `memory.high`, ...
    pub lever: String,
    /// A clamp or a fault, in words; empty when all went as asked.
    pub note: String,
    /// What the agent has done with it by itself since.
    #[serde(default)]
    pub effect: Effect,
}

/// What the agent has done by itself with what it had written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// Raised it under pressure.
    Raised,
    /// Taken it back, for it hurt: a kill for want of memory, throttling or pressure right after it.
    Hurt,
    /// Nothing, for it was not done in the first place: refused or failed, as the note says.
    NotDone,
}

/// What became of one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionOutcome {
    /// What was asked.
    pub kind: ActionKind,
    /// With which workload; empty for the host as a whole.
    pub workload: String,
    /// The value found.
    pub before: Option<f64>,
    /// The value now (in a dry run: what it would be).
    pub after: Option<f64>,
    /// What was, or would be, done: `pids.max = 100`, `chassis power on`.
    pub lever: String,
    /// A refusal, a clamp or a fault, in words; empty when all went as asked.
    pub note: String,
}
