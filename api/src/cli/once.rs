//! The idempotency key of one command line.
use sha2::{Digest, Sha256};

use super::args::Command;
use super::exit::CliError;

/// The key of this command, and what it was given for: the command as it was understood, so that neither the order of its options
/// nor the name of a file matters, but what stands in the file does.
pub(super) fn once(key: String, command: &Command) -> Result<(String, [u8; 32]), CliError> {
    if !(1..=200).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::usage("an idempotency key is 1 to 200 visible ASCII characters"));
    }
    Ok((key, Sha256::digest(format!("{command:?}")).into()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::Cli;
    use super::once;

    fn hash(line: &str) -> [u8; 32] {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        once("k".to_owned(), &cli.command).unwrap().1
    }

    #[test]
    fn the_order_of_options_does_not_matter_and_what_they_say_does() {
        let first = hash("cairn skus price small --currency USD --per-hour 0.36");
        let alike = "cairn --output json skus price --per-hour 0.36 small --currency USD";
        assert_eq!(hash(alike), first);
        assert_ne!(hash("cairn skus price small --currency USD --per-hour 0.37"), first);
        assert_ne!(hash("cairn skus price large --currency USD --per-hour 0.36"), first);
    }

    #[test]
    fn a_file_is_what_stands_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let request = |name: &str, key: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, key).unwrap();
            let organisation = "org_00000000000000000000000000";
            hash(&format!(
                "cairn allocations request --organisation {organisation} --sku s --currency USD --ssh-key {}",
                path.display()
            ))
        };
        let first = request("a.pub", "ssh-ed25519 AAAA me");
        assert_eq!(request("b.pub", "ssh-ed25519 AAAA me@elsewhere"), first);
        assert_ne!(request("a.pub", "ssh-ed25519 BBBB me"), first);
    }
}
