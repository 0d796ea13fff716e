//! Windows that all processes share, and the leases that this one has of them.
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::Mutex;

use super::lease::{Lease, Stand};
use super::table::{Policy, Rates};

/// Subjects that a process remembers; it asks for the others each time.
const REMEMBERED: usize = 50_000;
/// A database that is slower than this does not keep anybody from asking it something else.
const PATIENCE: Duration = Duration::from_secs(2);
/// After an answer that did not come, nobody waits for the next one so long.
const BLIND: Duration = Duration::from_secs(1);

/// Names a window without saying whose it is.
type Bucket = [u8; 16];

/// Counts requests. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Quotas {
    /// What is allowed.
    pub rates: Rates,
    pool: PgPool,
    leases: Arc<Cache<Bucket, Arc<Mutex<Option<Lease>>>>>,
    /// Until when the database is not asked.
    blind: Arc<std::sync::Mutex<Option<Instant>>>,
}

impl Quotas {
    /// Over the database of all processes.
    #[must_use]
    pub fn new(pool: PgPool, rates: Rates) -> Self {
        let leases = Arc::new(Cache::new(REMEMBERED));
        Self { rates, pool, leases, blind: Arc::default() }
    }

    /// Counts one request of a subject. `None`: the database does not say, and so nobody is refused.
    pub async fn take(&self, policy: Policy, subject: &str) -> Option<Stand> {
        let bucket = bucket(policy, subject);
        let lease = self.lease(&bucket);
        // One round trip at a time for each subject: whoever waits here may find a share when it comes back.
        let mut lease = lease.lock().await;
        if let Some(stand) = lease.as_mut().and_then(|lease| lease.take(Instant::now())) {
            return Some(stand);
        }
        if self.blind().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let taken = tokio::time::timeout(PATIENCE, self.share(policy, &bucket)).await;
        match taken.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(share) => lease.insert(share).take(Instant::now()),
            Err(error) => {
                tracing::warn!(%error, policy = policy.name, "requests are not counted");
                *self.blind() = Some(Instant::now() + BLIND);
                None
            }
        }
    }

    fn blind(&self) -> MutexGuard<'_, Option<Instant>> {
        self.blind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a subject stands of which this process knows that nothing is left; counts nothing.
    pub async fn spent(&self, policy: Policy, subject: &str) -> Option<Stand> {
        let lease = self.leases.get(&bucket(policy, subject))?;
        let lease = lease.lock().await;
        lease.as_ref()?.is_spent(Instant::now())
    }

    fn lease(&self, bucket: &Bucket) -> Arc<Mutex<Option<Lease>>> {
        let made = self.leases.get_or_insert_with(bucket, || Ok::<_, ()>(Arc::default()));
        made.unwrap_or_default()
    }

    /// Takes a share of what is left of a window, or begins a new one.
    async fn share(&self, policy: Policy, bucket: &Bucket) -> Result<Lease, sqlx::Error> {
        let quota = i32::try_from(policy.quota).unwrap_or(i32::MAX);
        let asked_at = Instant::now();
        let row = sqlx::query!(
            r#"INSERT INTO edge_quotas AS there (bucket, ends_at, used, granted)
               VALUES ($1, now() + make_interval(secs => $3), edge_share($2), edge_share($2))
               ON CONFLICT (bucket) DO UPDATE SET
                 ends_at = CASE WHEN there.ends_at > now() THEN there.ends_at ELSE excluded.ends_at END,
                 used    = CASE WHEN there.ends_at > now() THEN there.used + edge_share($2 - there.used)
                           ELSE excluded.used END,
                 granted = CASE WHEN there.ends_at > now() THEN edge_share($2 - there.used)
                           ELSE excluded.granted END
               RETURNING granted, used, extract(epoch FROM ends_at - now())::float8 AS "left!""#,
            bucket.as_slice(),
            quota,
            f64::from(policy.seconds),
        );
        let row = row.fetch_one(&self.pool).await?;
        Ok(Lease {
            left: u32::try_from(row.granted).unwrap_or_default(),
            beyond: u32::try_from(quota - row.used).unwrap_or_default(),
            ends: asked_at + Duration::try_from_secs_f64(row.left).unwrap_or_default(),
        })
    }
}

fn bucket(policy: Policy, subject: &str) -> Bucket {
    let mut hash = Sha256::new();
    hash.update(policy.name);
    hash.update(b"\0");
    hash.update(subject);
    let mut bucket = Bucket::default();
    bucket.copy_from_slice(&hash.finalize()[..16]);
    bucket
}
