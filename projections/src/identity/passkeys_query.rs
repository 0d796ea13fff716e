//! Questions about the passkeys of people, which the view of people holds.
use sqlx::PgExecutor;

use crate::row::{At, QueryError};

/// A passkey, with what is personal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Passkey {
    pub user_id: String,
    /// Lower-case hex SHA-256 of the credential's id.
    pub credential_sha256: String,
    /// Base64url.
    pub credential_id: String,
    /// `ES256`, `ES384`, `EdDSA` or `RS256`.
    pub algorithm: String,
    /// Base64url, in the form of the algorithm.
    pub public_key: String,
    pub sign_count: i64,
    /// `not_eligible`, `eligible` or `exists`.
    pub backup: String,
    pub name: String,
    pub added_at: At,
    pub used_at: Option<At>,
}

/// The passkeys of a person, the oldest first.
///
/// # Errors
/// [`QueryError`].
pub async fn of_user(db: impl PgExecutor<'_>, user_id: &str) -> Result<Vec<Passkey>, QueryError> {
    let rows = sqlx::query_as!(
        Passkey,
        r#"SELECT user_id, credential_sha256, credential_id, algorithm, public_key, sign_count, backup, name,
             added_at AS "added_at: At", used_at AS "used_at: At"
           FROM identity_passkeys WHERE user_id = $1 ORDER BY position"#,
        user_id,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Whoever added a credential first, by the SHA-256 of its id. Who closed their account is not found.
///
/// # Errors
/// [`QueryError`].
pub async fn by_credential(
    db: impl PgExecutor<'_>,
    credential_sha256: &str,
) -> Result<Option<Passkey>, QueryError> {
    let row = sqlx::query_as!(
        Passkey,
        r#"SELECT p.user_id, credential_sha256, credential_id, algorithm, public_key, sign_count, backup, p.name,
             added_at AS "added_at: At", used_at AS "used_at: At"
           FROM identity_passkeys p JOIN identity_users u USING (user_id)
           WHERE credential_sha256 = $1 AND closed_at IS NULL ORDER BY p.position LIMIT 1"#,
        credential_sha256,
    );
    Ok(row.fetch_optional(db).await?)
}
