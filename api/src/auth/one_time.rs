//! One-time passwords by time (RFC 6238): six digits, and each works for its own 30 seconds (OWASP ASVS 5.0, 6.5.5).
use cairn_core::Timestamp;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::problem::Problem;

const STEP_SECS: u64 = 30;
/// Steps before now whose passwords are known as over. None that is still to come is: it would tell a guesser what to wait for.
const OVER_STEPS: u64 = 4;
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

/// The step of now, when a password is the one of this secret now.
///
/// # Errors
/// `one_time_password_wrong`, which says so when it was the right one a moment ago.
pub fn step(secret: &str, password: &str, now: Timestamp) -> Result<u64, Problem> {
    let wrong = |detail| Problem::new("one_time_password_wrong", detail);
    let is_none = || wrong("this is not the one of now");
    let totp = totp(secret).ok_or_else(is_none)?;
    let now = u64::try_from(now.as_micros() / 1_000_000).map_err(|_| is_none())? / STEP_SECS;
    let fits = |step: u64| totp.generate(step * STEP_SECS) == password.trim();
    if fits(now) {
        return Ok(now);
    }
    if (now.saturating_sub(OVER_STEPS)..now).any(fits) {
        return Err(wrong(
            "this one is over: take the next, and set the device's clock if that is over too",
        ));
    }
    Err(is_none())
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
    fn the_vectors_of_the_rfc_hold_for_their_own_thirty_seconds() {
        for (at, password) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")]
        {
            let of = at / 30;
            let found = |at| step(VECTOR, password, Timestamp::from_secs(at));
            for inside in [of * 30, at, of * 30 + 29] {
                assert_eq!(found(inside).unwrap(), of.unsigned_abs(), "{at} {inside}");
            }
            let said = |at| found(at).unwrap_err().detail;
            assert!(said(of * 30 + 30).contains("over"), "{}", said(of * 30 + 30));
            assert!(said(of * 30 + 149).contains("over"));
            let unknown = [said(of * 30 - 1), said(of * 30 + 150)];
            assert_eq!(unknown, ["this is not the one of now"; 2], "what is to come is not told");
        }
        assert!(step(VECTOR, "000000", Timestamp::from_secs(59)).is_err());
        assert!(step("no base 32!", "287082", Timestamp::from_secs(59)).is_err());
    }

    #[test]
    fn a_device_can_take_a_secret_in() {
        let secret = new_secret().unwrap();
        assert!(step(&secret, "12345", Timestamp::from_secs(59)).is_err());
        let address = address(&secret, "a b@example.org");
        assert!(
            address.starts_with("otpauth://totp/Cairn:a%20b%40example.org?secret="),
            "{address}"
        );
    }
}
