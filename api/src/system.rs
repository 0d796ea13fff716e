//! Time and randomness: the only place where they enter.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_commands::identity::Code;
use cairn_commands::ports::{Clock, IdSource};
use cairn_core::{Timestamp, id::time_ordered};

use crate::auth::device::UserCode;
use crate::auth::secret::{self, Purpose};
use crate::auth::{ApiKeySecret, Mode, Secret};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "the one home of the wall clock")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Ids of milliseconds and the operating system's randomness.
#[derive(Debug, Default)]
pub struct RandomIds {
    fallback: AtomicU64,
}

impl IdSource for RandomIds {
    fn next(&self) -> u128 {
        let millis = SystemClock.now().as_micros().unsigned_abs() / 1_000;
        let bytes = random::<16>().unwrap_or_else(|_| {
            // No entropy is left to us only before the system has booted; a counter keeps ids apart meanwhile.
            let count = self.fallback.fetch_add(1, Ordering::Relaxed);
            (u128::from(count) << 64).to_be_bytes()
        });
        time_ordered(millis, u128::from_be_bytes(bytes))
    }
}

/// A new secret of the operating system's randomness.
///
/// # Errors
/// When the operating system has none.
pub fn new_secret<P: Purpose>() -> std::io::Result<Secret<P>> {
    Ok(Secret::from_random(&random::<40>()?))
}

/// A new code to send to somebody's address, which works for so long.
///
/// # Errors
/// When the operating system has no randomness.
pub fn new_code(now: Timestamp, seconds: i64) -> std::io::Result<Code> {
    let code = new_secret::<secret::Code>()?;
    Ok(Code {
        token: code.expose().to_owned(),
        token_sha256: code.sha256(),
        expires_at: now.plus_secs(seconds),
    })
}

/// A new code for somebody to type.
///
/// # Errors
/// When the operating system has no randomness.
pub fn new_user_code() -> std::io::Result<UserCode> {
    loop {
        if let Some(code) = UserCode::from_random(&random()?) {
            return Ok(code);
        }
    }
}

/// A new API key, for a Cairn of this mode.
///
/// # Errors
/// When the operating system has no randomness.
pub fn new_api_key(mode: Mode) -> std::io::Result<ApiKeySecret> {
    Ok(ApiKeySecret::in_mode(mode, &random::<40>()?))
}

/// A new secret that signs webhooks, of the operating system's randomness.
///
/// # Errors
/// When the operating system has none.
pub fn new_webhook_secret() -> std::io::Result<String> {
    Ok(format!("whsec_{}", STANDARD.encode(random::<32>()?)))
}

/// Random bytes of the operating system's.
///
/// # Errors
/// When the operating system has none.
#[allow(clippy::disallowed_methods, reason = "the one home of this program's randomness")]
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}
