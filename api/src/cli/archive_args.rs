//! The grammar of `cairn archive`.
use std::time::Duration;

use clap::{Args, Subcommand};

/// `archive`
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Moves the bulk of closed ranges to the archive. What a run that died left half done is gone on with.
    Run(PolicyOfAge),
    /// How much is archived, and what keeps the rest.
    Status(PolicyOfAge),
    /// Reads every segment, or one, and holds it against its record, its manifest and the seals. Exits with 7 when one is not intact.
    Verify {
        /// Only the segment of this number.
        segment: Option<i64>,
    },
    /// Brings the bulk of a segment back into the database. The archive keeps its objects.
    Restore {
        /// Number of the segment, as `archive status` lists it.
        #[arg(required_unless_present = "all")]
        segment: Option<i64>,
        /// Every segment, for example before leaving an object store.
        #[arg(long, conflicts_with = "segment")]
        all: bool,
    },
}

/// What may go.
#[derive(Debug, Clone, Args)]
pub struct PolicyOfAge {
    /// Only events that are older: a number with s, m, h or d.
    #[arg(long, value_name = "AGE", default_value = "90d", value_parser = age)]
    pub older_than: Duration,
    /// The newest so many events stay.
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(0..))]
    pub keep_events: i64,
}

fn age(text: &str) -> Result<Duration, String> {
    let malformed = || "say a number with s, m, h or d, for example 90d".to_owned();
    let unit = text.chars().next_back().ok_or_else(malformed)?;
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| malformed())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(malformed()),
    };
    // Longer than that, and the database's calendar ends.
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 36_525 * 86_400);
    seconds.map(Duration::from_secs).ok_or_else(|| "at most 36525d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_is_a_number_with_its_unit() {
        let seconds = |text: &str| age(text).map(|age| age.as_secs());
        assert_eq!(seconds("90d"), Ok(7_776_000));
        assert_eq!(seconds("36h"), Ok(129_600));
        assert_eq!(seconds("0s"), Ok(0));
        for text in ["", "90", "d", "-1d", "1.5h", "1w", "1µ", "99999999999999999999d", "36526d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
