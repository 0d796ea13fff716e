//! Programs that ask to be let in by a person (RFC 8628): what they asked for, until somebody decides and they have their answer.
//!
//! The program has a long code that it asks with, the person a short one that they type: eight consonants, 34 random bits, good for ten
//! minutes and one decision. Of both only hashes are stored. Whoever takes the answer deletes the row, so that of any number one has it.
use cairn_projections::{At, QueryError};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::secret::{self, Secret};

/// Seconds that somebody has to decide.
pub const LIFETIME_SECONDS: i32 = 600;
/// Seconds between two questions, at first.
pub const INTERVAL_SECONDS: i32 = 5;

/// Letters that are not taken for each other, and make no words (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LETTERS_OF_A_CODE: usize = 8;

/// A whole device code. Shown once, never stored.
pub type DeviceCode = Secret<secret::DeviceCode>;

/// What a person types.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl std::fmt::Debug for UserCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserCode(…)")
    }
}

impl UserCode {
    /// Of random bytes; `None` when too few of them are of use: each letter is as likely as another.
    #[must_use]
    pub fn from_random(random: &[u8; 32]) -> Option<Self> {
        let even =
            random.iter().filter(|byte| usize::from(**byte) < 256 / LETTERS.len() * LETTERS.len());
        let letters: String = even
            .take(LETTERS_OF_A_CODE)
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect();
        (letters.len() == LETTERS_OF_A_CODE).then_some(Self(letters))
    }

    /// As somebody typed it: in any case, with or without what stands between the letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let said = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let letters: String = said.map(|c| c.to_ascii_uppercase()).collect();
        let known = letters.bytes().all(|byte| LETTERS.contains(&byte));
        (known && letters.len() == LETTERS_OF_A_CODE).then_some(Self(letters))
    }

    /// As it is shown: `WDJB-MJHT`.
    #[must_use]
    pub fn shown(&self) -> String {
        let (head, tail) = self.0.split_at(LETTERS_OF_A_CODE / 2);
        format!("{head}-{tail}")
    }

    fn digest(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

/// What a program asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it calls itself, and its key will be called; sealed.
    pub name: String,
    /// What of a role it wants; all of it when there is none.
    pub scopes: Vec<String>,
    /// For how many seconds its key is to work.
    pub lifetime_seconds: i64,
    /// Where it asks from; sealed.
    pub address: String,
}

/// Keeps what a program asks for; answers whether both codes were new.
///
/// # Errors
/// [`QueryError`].
pub async fn keep(
    pool: &PgPool,
    (device, user): (&DeviceCode, &UserCode),
    asked: &Asked,
) -> Result<bool, QueryError> {
    let hash = device.digest();
    let kept = sqlx::query!(
        "INSERT INTO edge_devices (device_sha256, user_sha256, name, scopes, lifetime_seconds, address, interval_seconds, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8)) ON CONFLICT DO NOTHING",
        hash.as_slice(),
        user.digest(),
        asked.name,
        &asked.scopes,
        asked.lifetime_seconds,
        asked.address,
        INTERVAL_SECONDS,
        f64::from(LIFETIME_SECONDS),
    );
    Ok(kept.execute(pool).await?.rows_affected() == 1)
}

/// What waits for a decision.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Waiting {
    pub name: String,
    pub scopes: Vec<String>,
    pub lifetime_seconds: i64,
    pub address: String,
    pub asked_at: At,
    pub expires_at: At,
}

/// What a code that somebody typed is about, as long as nobody has decided.
///
/// # Errors
/// [`QueryError`].
pub async fn waiting(pool: &PgPool, user: &UserCode) -> Result<Option<Waiting>, QueryError> {
    let row = sqlx::query_as!(
        Waiting,
        r#"SELECT name, scopes, lifetime_seconds, address, asked_at AS "asked_at: At", expires_at AS "expires_at: At"
           FROM edge_devices WHERE user_sha256 = $1 AND expires_at > now() AND approved IS NULL"#,
        user.digest(),
    );
    Ok(row.fetch_optional(pool).await?)
}

/// Lets a program in: as what, and who says so (see `standing`). Answers whether it was still to be decided.
///
/// # Errors
/// [`QueryError`].
pub async fn approve(
    pool: &PgPool,
    user: &UserCode,
    (standing, role, scopes): (&str, &str, Option<&[String]>),
) -> Result<bool, QueryError> {
    let decided = sqlx::query!(
        "UPDATE edge_devices SET approved = true, standing = $2, role = $3, scopes = COALESCE($4, scopes)
         WHERE user_sha256 = $1 AND expires_at > now() AND approved IS NULL",
        user.digest(),
        standing,
        role,
        scopes,
    );
    Ok(decided.execute(pool).await?.rows_affected() == 1)
}

/// Does not let it in. Answers whether it was still to be decided.
///
/// # Errors
/// [`QueryError`].
pub async fn deny(pool: &PgPool, user: &UserCode) -> Result<bool, QueryError> {
    let decided = sqlx::query!(
        "UPDATE edge_devices SET approved = false WHERE user_sha256 = $1 AND expires_at > now() AND approved IS NULL",
        user.digest(),
    );
    Ok(decided.execute(pool).await?.rows_affected() == 1)
}

/// How it stands with what a program asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Whether it asked again before the interval was over. The interval is longer from now on.
    pub hasty: bool,
    /// Whether it was let in; `None` while nobody has decided.
    pub approved: Option<bool>,
    /// Seconds to wait before the next question.
    pub interval_seconds: i32,
}

/// A program asks. `None`: its code is unknown, over, or has had its answer.
///
/// # Errors
/// [`QueryError`].
pub async fn poll(pool: &PgPool, device: &DeviceCode) -> Result<Option<Polled>, QueryError> {
    let hash = device.digest();
    let polled = sqlx::query_as!(
        Polled,
        r#"WITH known AS (
             SELECT device_sha256, COALESCE(polled_at + make_interval(secs => interval_seconds) > now(), false) AS hasty
             FROM edge_devices WHERE device_sha256 = $1 AND expires_at > now() FOR UPDATE)
           UPDATE edge_devices d SET polled_at = now(), interval_seconds = interval_seconds + CASE WHEN hasty THEN $2 ELSE 0 END
           FROM known WHERE d.device_sha256 = known.device_sha256
           RETURNING hasty AS "hasty!", approved, interval_seconds"#,
        hash.as_slice(),
        INTERVAL_SECONDS,
    );
    Ok(polled.fetch_optional(pool).await?)
}

/// What a program was let in as.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Approved {
    pub name: String,
    pub scopes: Vec<String>,
    pub lifetime_seconds: i64,
    pub standing: String,
    pub role: String,
}

/// Takes the answer, once. `None`: there is none, or somebody has had it.
///
/// # Errors
/// [`QueryError`].
pub async fn redeem(pool: &PgPool, device: &DeviceCode) -> Result<Option<Approved>, QueryError> {
    let hash = device.digest();
    let taken = sqlx::query_as!(
        Approved,
        r#"DELETE FROM edge_devices WHERE device_sha256 = $1 AND expires_at > now() AND approved
           RETURNING name, scopes, lifetime_seconds, standing AS "standing!", role AS "role!""#,
        hash.as_slice(),
    );
    Ok(taken.fetch_optional(pool).await?)
}

#[cfg(test)]
mod tests {
    use super::UserCode;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = UserCode::from_random(&std::array::from_fn(|i| i as u8 * 7)).unwrap();
        let shown = code.shown();
        assert_eq!(shown.len(), 9);
        for typed in
            [shown.clone(), shown.to_lowercase(), shown.replace('-', " "), shown.replace('-', "")]
        {
            assert_eq!(UserCode::parse(&typed).as_ref(), Some(&code), "{typed}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ1", "BCDF_GHJK"] {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{code:?}").contains(&shown));
    }

    #[test]
    fn every_letter_is_as_likely_as_another() {
        let mut counts = std::collections::BTreeMap::new();
        for byte in 0..=255 {
            let Some(code) = UserCode::from_random(&[byte; 32]) else { continue };
            *counts.entry(code.shown()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 20);
        assert!(counts.values().all(|count| *count == 12), "{counts:?}");
        assert_eq!(UserCode::from_random(&[255; 32]), None, "too few are of use");
    }
}
