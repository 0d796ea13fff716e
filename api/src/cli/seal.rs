//! `cairn audit verify|prove|check-proof|seal|key`: the seal of the log.
use std::path::{Path, PathBuf};

use cairn_core::Timestamp;
use cairn_seal::{KeyDirectory, Proof, PublicKeys, Signed};
use cairn_sealer::{Published, Scope, SealError, Sealer};
use serde::Serialize;

use super::args::{ProofArgs, VerifyArgs};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::Session;
use crate::charges::{ChargeProof, Claim};
use crate::config::Config;
use crate::http::disks::AdditionalDisk;
use crate::http::money;
use crate::http::prices::PriceTier;

impl From<SealError> for CliError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Log(error) => error.into(),
            SealError::Store(_) => {
                Self::new(Exit::Unavailable, "store_unavailable", error.to_string())
            }
            SealError::Gap(_) | SealError::Disagrees { .. } | SealError::Malformed { .. } => {
                Self::new(Exit::Differs, "seal_differs", error.to_string())
            }
            _ => Self::failure(error.to_string()),
        }
    }
}

impl From<cairn_seal::KeyError> for CliError {
    fn from(error: cairn_seal::KeyError) -> Self {
        SealError::from(error).into()
    }
}

pub(super) async fn verify(
    config: &Config,
    args: VerifyArgs,
    output: Output,
) -> Result<(), CliError> {
    let public = KeyDirectory::at(config.seal.keys.clone()).public_path();
    let keys = PublicKeys::read(args.key.as_deref().unwrap_or(&public)).map_err(|error| {
        CliError::usage(format!(
            "{error}. Nothing was sealed here yet, or the keys are elsewhere: say --key FILE"
        ))
    })?;
    let published = match &args.published {
        Some(place) => Published::open(place, &config.store).await?,
        None if config.seal.file.exists() => {
            Published::open(&config.seal.file.to_string_lossy(), &config.store).await?
        }
        None => {
            output.say("no published copy was found: only what the database says of itself is checked (--published)");
            Published::None
        }
    };
    let scope = Scope { from: args.from, workers: args.workers.into(), resume: args.resume };
    let report = Session::run(config, async |parts| {
        let log = parts.commands.executor.log().clone();
        Ok(cairn_sealer::verify(&log, &keys, published, &scope).await?)
    })
    .await?;
    output.one(&report)?;
    match report.first_bad_position {
        None => Ok(()),
        Some(position) => {
            let more = report.findings_total;
            let message = format!(
                "position {position} is the first that is not as it was sealed; {more} findings"
            );
            Err(CliError::new(Exit::Differs, "seal_differs", message))
        }
    }
}

pub(super) async fn prove(
    config: &Config,
    position: i64,
    out: Option<PathBuf>,
    output: Output,
) -> Result<(), CliError> {
    let proof = Session::run(config, async |parts| {
        let head = parts.commands.executor.log().head().await?;
        if position > head {
            return Err(CliError::not_found("event at position", &position.to_string()));
        }
        let unsealed = || {
            let message =
                format!("position {position} is not sealed yet: `cairn audit seal` does it now");
            CliError::new(Exit::NotFound, "not_sealed", message)
        };
        cairn_sealer::prove(parts.commands.executor.log(), position).await?.ok_or_else(unsealed)
    })
    .await?;
    let json = serde_json::to_string_pretty(&proof)?;
    let Some(out) = out else {
        output.raw(&json);
        return Ok(());
    };
    std::fs::write(&out, json + "\n").map_err(|error| unreadable(&out, &error))?;
    output.say(&format!(
        "written to {}; whoever has the public keys (`cairn audit key`) can check it with `cairn audit check-proof`",
        out.display()
    ));
    Ok(())
}

pub(super) async fn check_proof(
    config: &Config,
    args: &ProofArgs,
    output: Output,
) -> Result<(), CliError> {
    let keys = PublicKeys::read(&args.key).map_err(|error| CliError::usage(error.to_string()))?;
    let text = std::fs::read_to_string(&args.file);
    let text = text.map_err(|error| CliError::usage(unreadable(&args.file, &error).message))?;
    let differs = |why: String| CliError::new(Exit::Differs, "proof_broken", why);
    let published = match &args.published {
        Some(place) => Some((place.as_str(), Published::open(place, &config.store).await?)),
        None => None,
    };
    if let Ok(proof) = ChargeProof::from_json(&text) {
        proof.check(&keys).map_err(|error| differs(error.to_string()))?;
        for event in &proof.events {
            as_published(published.as_ref(), &event.block).await?;
        }
        return output.one(&summed_up(&proof.charge)?);
    }
    let proof = Proof::from_json(&text).map_err(|error| differs(error.to_string()))?;
    let proven = proof.check(&keys).map_err(|error| differs(error.to_string()))?;
    as_published(published.as_ref(), &proof.block).await?;
    let mut shown = serde_json::to_value(&proven)?;
    shown["sealed_at"] = Timestamp::from_micros(proven.sealed_at_micros).to_string().into();
    output.one(&shown)
}

/// Whether a block was published as it is in a proof.
async fn as_published(
    published: Option<&(&str, Published)>,
    signed: &Signed,
) -> Result<(), CliError> {
    let Some((place, published)) = published else { return Ok(()) };
    let (number, differs) =
        (signed.header.number, |why| CliError::new(Exit::Differs, "proof_broken", why));
    match published.block(number).await? {
        Some(Ok(block)) if block.signed == *signed => Ok(()),
        Some(_) => Err(differs(format!("block {number} was published otherwise"))),
        None => Err(differs(format!("block {number} is not in {place}"))),
    }
}

/// A charge that was found to be right, with its amounts as people write them.
fn summed_up(charge: &Claim) -> Result<serde_json::Value, CliError> {
    let mut shown = serde_json::to_value(charge)?;
    let tiers = PriceTier::all(&charge.list());
    if !tiers.is_empty() {
        shown["tiers"] = serde_json::to_value(tiers)?;
    }
    if let Some(disk) = charge.disk {
        shown["disk"] = serde_json::to_value(AdditionalDisk::from(disk))?;
    }
    if let Some(members) = shown.as_object_mut() {
        for (nanos, name) in [
            ("nanos_per_hour", "per_hour"),
            ("total_nanos", "total"),
            ("before_nanos", "before"),
            ("paid_nanos", "paid"),
            ("owed_nanos", "owed"),
        ] {
            let amount = members.remove(nanos).and_then(|amount| amount.as_i64());
            members.insert(name.to_owned(), money::decimal(amount.unwrap_or_default()).into());
        }
    }
    Ok(shown)
}

pub(super) async fn seal(config: &Config, output: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Done {
        blocks_sealed: u64,
        sealed_position: i64,
        published_blocks: u64,
    }
    let done = Session::run(config, async |parts| {
        let sealer = Sealer::new(parts.commands.executor.log().clone(), config.seal.clone());
        let blocks_sealed = sealer.turn(true).await?;
        let published_blocks = sealer.publish_to_file().await?;
        let sealed_position = cairn_sealer::standing(parts.pool()).await?.sealed_position;
        Ok(Done { blocks_sealed, sealed_position, published_blocks })
    })
    .await?;
    output.one(&done)
}

pub(super) fn key(config: &Config, rotate: bool, output: Output) -> Result<(), CliError> {
    let directory = KeyDirectory::at(config.seal.keys.clone());
    if rotate {
        let id = directory.rotate()?;
        output.say(&format!(
            "{id} signs from now on; give its public half to everybody who verifies"
        ));
    }
    let (_, public) = directory.open()?;
    if output.is_json() {
        #[derive(Serialize)]
        struct Keys {
            key_ids: Vec<cairn_seal::Hash>,
            pem: String,
        }
        let pem = public.to_pem().map_err(CliError::failure)?;
        return output.one(&Keys { key_ids: public.ids(), pem });
    }
    output.raw(&public.to_pem().map_err(CliError::failure)?);
    Ok(())
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failure(format!("{}: {error}", path.display()))
}
