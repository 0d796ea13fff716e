//! Tickets: they open one thing once, within seconds, for those who cannot send an `Authorization` header, such as a browser's
//! WebSocket. They go into a message, never into an address.
//!
//! `cairn_ticket_`, 40 characters of base 32 (200 random bits), 6 characters of checksum; like a key, but nothing else is one. Only
//! the hash is stored. Using one deletes it, so that of any number of processes one has it.
use std::fmt;

use cairn_projections::{At, QueryError};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::key::{RANDOM_CHARACTERS, is_whole, spelt};

const PREFIX: &str = "cairn_ticket_";
/// Seconds that a ticket lives.
pub const LIFETIME_SECONDS: i32 = 30;

/// A whole ticket. Shown once, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

impl Ticket {
    /// A ticket of these random bytes.
    #[must_use]
    pub fn from_random(random: &[u8; RANDOM_CHARACTERS]) -> Self {
        Self(spelt(PREFIX, random))
    }

    /// Reads a ticket; `None` when prefix, length, alphabet or checksum is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_whole(PREFIX, text).then(|| Self(text.to_owned()))
    }

    /// The ticket itself, to show it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// Keeps a new ticket of an actor's; answers until when it is good.
///
/// # Errors
/// [`QueryError`].
pub async fn keep(
    pool: &PgPool,
    ticket: &Ticket,
    (purpose, actor): (&str, &str),
) -> Result<At, QueryError> {
    let hash = ticket.sha256();
    let kept = sqlx::query_scalar!(
        r#"INSERT INTO edge_tickets (ticket_sha256, purpose, actor, expires_at)
           VALUES ($1, $2, $3, now() + make_interval(secs => $4)) RETURNING expires_at AS "expires_at: At""#,
        hash.as_slice(),
        purpose,
        actor,
        f64::from(LIFETIME_SECONDS),
    );
    Ok(kept.fetch_one(pool).await?)
}

/// Uses a ticket up; answers whose it was. `None`: it is unknown, used, over, or for something else.
///
/// # Errors
/// [`QueryError`].
pub async fn redeem(
    pool: &PgPool,
    ticket: &Ticket,
    purpose: &str,
) -> Result<Option<String>, QueryError> {
    let hash = ticket.sha256();
    let used = sqlx::query_scalar!(
        "DELETE FROM edge_tickets WHERE ticket_sha256 = $1 AND purpose = $2 AND expires_at > now() RETURNING actor",
        hash.as_slice(),
        purpose,
    );
    Ok(used.fetch_optional(pool).await?)
}

/// Removes tickets that are over.
///
/// # Errors
/// [`QueryError`].
pub async fn sweep(pool: &PgPool) -> Result<(), QueryError> {
    let swept = sqlx::query!("DELETE FROM edge_tickets WHERE expires_at <= now()");
    Ok(swept.execute(pool).await.map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::Ticket;
    use crate::auth::ApiKeySecret;

    #[test]
    fn a_ticket_is_no_key_and_a_key_no_ticket() {
        let (ticket, key) = (Ticket::from_random(&[7; 40]), ApiKeySecret::from_random(&[7; 40]));
        assert_eq!(Ticket::parse(ticket.expose()), Some(ticket.clone()));
        assert_eq!(Ticket::parse(key.expose()), None);
        assert!(ApiKeySecret::parse(ticket.expose()).is_err());
        assert!(!format!("{ticket:?}").contains("cairn_ticket"));
        let mut wrong = ticket.expose().to_owned();
        wrong.pop();
        assert_eq!(Ticket::parse(&wrong), None);
    }
}
