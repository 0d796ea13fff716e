//! What somebody may have meant by a name that does not exist.

/// Most names that are offered.
const OFFERED: usize = 3;
/// From here on, of 1, a name looks like another one.
const ALIKE: f64 = 0.7;

/// `: did you mean …?`, or nothing when no name is like it.
pub(crate) fn did_you_mean<'a>(said: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let alike = |name: &'a str| (strsim::jaro_winkler(said, name), name);
    let mut names: Vec<_> =
        names.into_iter().map(alike).filter(|(like, _)| *like > ALIKE).collect();
    names.sort_by(|one, other| other.0.total_cmp(&one.0));
    names.dedup_by_key(|(_, name)| *name);
    names.truncate(OFFERED);
    let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
    if names.is_empty() { String::new() } else { format!(": did you mean {}?", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn the_most_alike_comes_first_and_a_stranger_not_at_all() {
        let names = ["ledger/balances", "ledger/statement", "fleet/nodes"];
        let offered = did_you_mean("ledger/balnces", names);
        assert!(offered.starts_with(": did you mean ledger/balances"), "{offered}");
        assert!(!offered.contains("fleet"), "{offered}");
        assert_eq!(did_you_mean("zzz", names), "");
    }
}
