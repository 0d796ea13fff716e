//! Tickets: they open one thing once, within seconds, for those who cannot send an `Authorization` header, such as a browser's
//! WebSocket. They go into a message, never into an address.
//!
//! `cairn_ticket_`, 40 characters of base 32 (200 random bits), 6 characters of checksum; like a key, but nothing else is one. Only
//! the hash is stored. Using one deletes it, so that of any number of processes one has it.
use cairn_projections::{At, QueryError};
use sqlx::PgPool;

use super::secret::{self, Secret};

/// Seconds that a ticket lives.
pub const LIFETIME_SECONDS: i32 = 30;

/// A whole ticket. Shown once, never stored.
pub type Ticket = Secret<secret::Ticket>;

/// Keeps a new ticket under how its holder came in (see `standing`); answers until when it is good.
///
/// # Errors
/// [`QueryError`].
pub async fn keep(pool: &PgPool, ticket: &Ticket, kept: (&str, &str)) -> Result<At, QueryError> {
    keep_for(pool, ticket, kept, LIFETIME_SECONDS).await
}

/// The same for another time.
///
/// # Errors
/// [`QueryError`].
pub async fn keep_for(
    pool: &PgPool,
    ticket: &Ticket,
    (purpose, standing): (&str, &str),
    seconds: i32,
) -> Result<At, QueryError> {
    let hash = ticket.digest();
    let kept = sqlx::query_scalar!(
        r#"INSERT INTO edge_tickets (ticket_sha256, purpose, standing, expires_at)
           VALUES ($1, $2, $3, now() + make_interval(secs => $4)) RETURNING expires_at AS "expires_at: At""#,
        hash.as_slice(),
        purpose,
        standing,
        f64::from(seconds),
    );
    Ok(kept.fetch_one(pool).await?)
}

/// Uses a ticket up; answers how its holder came in. `None`: it is unknown, used, over, or for something else.
///
/// # Errors
/// [`QueryError`].
pub async fn redeem(
    pool: &PgPool,
    ticket: &Ticket,
    purpose: &str,
) -> Result<Option<String>, QueryError> {
    let hash = ticket.digest();
    let used = sqlx::query_scalar!(
        "DELETE FROM edge_tickets WHERE ticket_sha256 = $1 AND purpose = $2 AND expires_at > now() RETURNING standing",
        hash.as_slice(),
        purpose,
    );
    Ok(used.fetch_optional(pool).await?)
}
