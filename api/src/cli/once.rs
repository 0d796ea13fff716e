//! The idempotency key of one command line.
use sha2::{Digest, Sha256};

use super::exit::CliError;

/// The key of this command, and what it was given for: every word of the command line but the key and the format.
pub(super) fn once(key: String) -> Result<(String, [u8; 32]), CliError> {
    if !(1..=200).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::usage("an idempotency key is 1 to 200 visible ASCII characters"));
    }
    let mut hash = Sha256::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--idempotency-key" | "--output" => drop(words.next()),
            _ if word.starts_with("--idempotency-key=") || word.starts_with("--output=") => {}
            _ => hash.update([word.as_bytes(), b"\0"].concat()),
        }
    }
    Ok((key, hash.finalize().into()))
}
