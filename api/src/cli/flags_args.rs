//! Arguments of `cairn flags`.
use cairn_core::OrganisationId;
use clap::{Args, Subcommand, ValueEnum};

use super::args::reason;

/// `flags`
#[derive(Debug, Subcommand)]
pub enum FlagsCommand {
    /// Shows every flag.
    List {
        /// Archived ones too.
        #[arg(long)]
        archived: bool,
    },
    /// Shows one flag, and for whom it is on.
    Show {
        /// Its name.
        flag: String,
        /// Says whether it is on for this organisation.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Defines a flag. It is off until it is set or overridden.
    Define {
        /// Its name: a-z, 0-9 and `_`, a letter first.
        flag: String,
        /// What is on when it is on.
        #[arg(long)]
        description: String,
    },
    /// Has it on for everybody, nobody, or so many of a hundred organisations.
    Set {
        /// Its name.
        flag: String,
        /// `on`, `off`, or a percentage such as `25`.
        #[arg(value_parser = percentage)]
        to: u8,
        #[command(flatten)]
        why: Why,
    },
    /// Has it on or off for one organisation, whatever the percentage.
    Override {
        /// Its name.
        flag: String,
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
        /// How it is for that organisation.
        #[arg(value_enum)]
        to: Switch,
        #[command(flatten)]
        why: Why,
    },
    /// Lets the percentage decide for an organisation again.
    Clear {
        /// Its name.
        flag: String,
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
        #[command(flatten)]
        why: Why,
    },
    /// Ends a flag: it is off for everybody, for good, and its name is used up.
    Archive {
        /// Its name.
        flag: String,
        #[command(flatten)]
        why: Why,
    },
}

/// A reason.
#[derive(Debug, Args)]
pub struct Why {
    /// Why, for the audit trail.
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Switch {
    On,
    Off,
}

fn percentage(text: &str) -> Result<u8, String> {
    match text {
        "on" => Ok(100),
        "off" => Ok(0),
        number => {
            let number = number.strip_suffix('%').unwrap_or(number).parse();
            let fits = number.ok().filter(|number| *number <= 100);
            fits.ok_or_else(|| "say on, off, or a percentage from 0 to 100".to_owned())
        }
    }
}
