//! `cairn finance prove`: what a charge was made of.
use std::path::PathBuf;

use cairn_projections::ledger::statement;

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::seal::unreadable;
use super::super::session::SessionParts;
use crate::charges::{ChargeId, GatherError, gather};

impl From<GatherError> for CliError {
    fn from(error: GatherError) -> Self {
        match error {
            GatherError::NoCharge(position) => {
                Self::not_found("charge", &ChargeId(position).to_string())
            }
            GatherError::NotSealed(position) => {
                let message = format!(
                    "position {position} is not sealed yet: `cairn audit seal` does it now"
                );
                Self::new(Exit::NotFound, "not_sealed", message)
            }
            GatherError::Log(error) => error.into(),
            GatherError::View(error) => error.into(),
            GatherError::Seal(error) => error.into(),
            GatherError::Wrong(error) => {
                Self::new(Exit::Differs, "charge_not_proven", error.to_string())
            }
        }
    }
}

pub(super) async fn prove(
    parts: &SessionParts,
    ChargeId(position): ChargeId,
    out: Option<PathBuf>,
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[statement::NAME]).await?;
    let proof = gather(parts.commands.executor.log(), position).await?;
    let json = serde_json::to_string_pretty(&proof)?;
    let Some(out) = out else {
        output.raw(&json);
        return Ok(());
    };
    std::fs::write(&out, json + "\n").map_err(|error| unreadable(&out, &error))?;
    output.say(&format!(
        "written to {}; whoever has the public keys (`cairn audit key`) can do the sum again with `cairn audit check-proof`",
        out.display()
    ));
    Ok(())
}
