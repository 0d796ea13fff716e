//! One-time passwords by time (RFC 6238): six digits, 30 seconds, one step of slack both ways.
use cairn_core::Timestamp;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::problem::Problem;

const STEP_SECS: u64 = 30;
/// Steps before and after now whose passwords are taken.
const SLACK: u64 = 1;
const DIGITS: usize = 6;

/// A new secret, in base 32.
///
/// # Errors
/// When there is no randomness.
pub fn new_secret() -> Result<String, Problem> {
    let bytes = crate::system::random::<20>();
    let bytes = bytes.map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Secret::Raw(bytes.to_vec()).to_encoded().to_string())
}

fn totp(secret: &str) -> Option<TOTP> {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().ok()?;
    TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_SECS, bytes).ok()
}

/// The step that a password is of, when it is one of this secret at about this time.
#[must_use]
pub fn step(secret: &str, password: &str, now: Timestamp) -> Option<u64> {
    let totp = totp(secret)?;
    let now = u64::try_from(now.as_micros() / 1_000_000).ok()? / STEP_SECS;
    let given = password.trim();
    (now.saturating_sub(SLACK)..=now + SLACK).find(|step| totp.generate(step * STEP_SECS) == given)
}

/// What a device scans to take the secret in.
#[must_use]
pub fn address(secret: &str, email: &str) -> String {
    let account: String = url_encoded(email);
    format!(
        "otpauth://totp/Cairn:{account}?secret={secret}&issuer=Cairn&algorithm=SHA1&digits=6&period=30"
    )
}

fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use cairn_core::Timestamp;

    use super::{address, new_secret, step};

    /// The secret of RFC 6238's test vectors, in base 32; its passwords have eight digits there, of which six are ours.
    const VECTOR: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn the_vectors_of_the_rfc_hold_within_the_slack() {
        for (at, password) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")]
        {
            let of = u64::try_from(at).unwrap() / 30;
            for late in [-30, 0, 30] {
                let found = step(VECTOR, password, Timestamp::from_secs(at + late));
                assert_eq!(found, Some(of), "{at} {late}");
            }
            assert_eq!(step(VECTOR, password, Timestamp::from_secs(at + 61)), None);
        }
        assert_eq!(step(VECTOR, "000000", Timestamp::from_secs(59)), None);
        assert_eq!(step("no base 32!", "287082", Timestamp::from_secs(59)), None);
    }

    #[test]
    fn a_device_can_take_a_secret_in() {
        let secret = new_secret().unwrap();
        assert!(step(&secret, "12345", Timestamp::from_secs(59)).is_none());
        let address = address(&secret, "a b@example.org");
        assert!(
            address.starts_with("otpauth://totp/Cairn:a%20b%40example.org?secret="),
            "{address}"
        );
    }
}
