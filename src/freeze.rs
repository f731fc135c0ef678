//! `foreshadow freeze` and `thaw`: the switch that keeps a cell as it is.

use clap::Args;
use runtime::output::print_line;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{Page, words::harmless};

const STATUS: &str = "Exit status: 0 when the switch stands so, now or before; 1 when it is not turned, and why.";

/// Arguments of `foreshadow freeze`.
#[derive(Debug, Args)]
#[command(after_help = STATUS)]
pub(crate) struct FreezeArgs {
    #[command(flatten)]
    turn: TurnArgs,
    /// Why, in a line: it is told wherever somebody asks why nothing changes
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Arguments of `foreshadow thaw`.
#[derive(Debug, Args)]
#[command(after_help = STATUS)]
pub(crate) struct ThawArgs {
    #[command(flatten)]
    turn: TurnArgs,
}

#[derive(Debug, Args)]
struct TurnArgs {
    #[command(flatten)]
    page: Page,
    /// Who turns it: it stands in the audit log. The user's name where it is not said
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// How it stands, as one JSON object
    #[arg(long)]
    json: bool,
}

/// A page's answer.
#[derive(Debug, Serialize, Deserialize)]
struct Stands {
    frozen: bool,
    freeze: Option<Freeze>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Freeze {
    by: String,
    reason: String,
    since_ms: i64,
}

/// Freezes the cell.
///
/// # Errors
/// Why it is not frozen, or when no brain can be asked.
pub(crate) async fn freeze(arguments: &FreezeArgs) -> anyhow::Result<()> {
    arguments.turn.tell("/api/v1/freeze", &arguments.reason).await
}

/// Lets the cell move again.
///
/// # Errors
/// Why it is not let, or when no brain can be asked.
pub(crate) async fn thaw(arguments: &ThawArgs) -> anyhow::Result<()> {
    arguments.turn.tell("/api/v1/thaw", "").await
}

impl TurnArgs {
    async fn tell(&self, path: &str, reason: &str) -> anyhow::Result<()> {
        let by = self.page.actor(self.by.as_deref())?;
        let stands: Stands = self.page.post(path, &json!({"by": by, "reason": reason})).await?;
        let text = if self.json {
            serde_json::to_string_pretty(&stands)?
        } else {
            said(&stands)
        };
        Ok(print_line(&text)?)
    }
}

fn said(stands: &Stands) -> String {
    match &stands.freeze {
        Some(Freeze { by, reason, .. }) if stands.frozen => {
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            let told = harmless(&format!("frozen by {by}{why}"));
            format!("{told}; nothing is changed until `foreshadow thaw`")
        }
        _ => "not frozen: changes are made again where the policy says so".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_told_in_words_that_steer_no_terminal() {
        let stands = |frozen, by: &str, reason: &str| Stands {
            frozen,
            freeze: (!by.is_empty()).then(|| Freeze {
                by: by.to_owned(),
                reason: reason.to_owned(),
                since_ms: 0,
            }),
        };
        let frozen = said(&stands(true, "ann\u{1b}[2J", "release"));
        assert_eq!(
            frozen,
            "frozen by ann [2J: release; nothing is changed until `foreshadow thaw`"
        );
        assert!(said(&stands(true, "ann", "")).starts_with("frozen by ann; "));
        assert!(said(&stands(false, "", "")).starts_with("not frozen"));
    }
}
