//! States of streams in memory: bounded, one lock per stream so that its commands queue here instead of conflicting in the log.
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cairn_core::Decider;
use tokio::sync::MutexGuard;

const SHARDS: usize = 16;

type Key = (&'static str, String);

/// A state and the number of events it is the state after.
#[derive(Debug, Clone)]
pub(crate) struct Known<A> {
    pub(crate) state: A,
    pub(crate) sequence: i64,
}

/// One stream's place in the cache. Whoever holds the lock decides alone in this process.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    known: tokio::sync::Mutex<Option<Box<dyn Any + Send>>>,
    touched: AtomicBool,
}

impl Stream {
    pub(crate) async fn lock(&self) -> Turn<'_> {
        Turn(self.known.lock().await)
    }
}

/// The right to decide on a stream.
pub(crate) struct Turn<'a>(MutexGuard<'a, Option<Box<dyn Any + Send>>>);

impl Turn<'_> {
    /// Takes the cached state out. Unless it is put back, the next turn loads anew.
    pub(crate) fn take<A: Decider>(&mut self) -> Option<Known<A>> {
        self.0.take()?.downcast().ok().map(|known| *known)
    }

    pub(crate) fn put<A: Decider>(&mut self, known: Known<A>) {
        *self.0 = Some(Box::new(known));
    }
}

#[derive(Debug, Default)]
struct Shard {
    streams: HashMap<Key, Arc<Stream>>,
    /// In order of arrival, for eviction.
    ring: VecDeque<Key>,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Streams {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    capacity: usize,
}

impl Streams {
    /// A cache of about `capacity` streams.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            capacity: capacity.div_ceil(SHARDS).max(1),
        }
    }

    /// A stream's place, made if need be.
    pub(crate) fn stream(&self, aggregate_type: &'static str, aggregate_id: &str) -> Arc<Stream> {
        let key = (aggregate_type, aggregate_id.to_owned());
        let hash = self.hasher.hash_one(&key);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = shard.streams.get(&key) {
            stream.touched.store(true, Ordering::Relaxed);
            return Arc::clone(stream);
        }
        shard.make_room(self.capacity);
        let stream = Arc::<Stream>::default();
        shard.ring.push_back(key.clone());
        shard.streams.insert(key, Arc::clone(&stream));
        stream
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| shard.lock().map_or(0, |shard| shard.streams.len());
        self.shards.iter().map(count).sum()
    }
}

impl Shard {
    /// Evicts the oldest stream that nobody uses and nobody used since it was last looked at. In use, it stays.
    fn make_room(&mut self, capacity: usize) {
        let mut looks = self.ring.len() * 2;
        while self.streams.len() >= capacity && looks > 0 {
            looks -= 1;
            let Some(key) = self.ring.pop_front() else { return };
            let keep = self.streams.get(&key).is_some_and(|stream| {
                Arc::strong_count(stream) > 1 || stream.touched.swap(false, Ordering::Relaxed)
            });
            if keep {
                self.ring.push_back(key);
            } else {
                self.streams.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Streams;
    use std::sync::Arc;

    #[test]
    fn the_cache_stays_within_its_bound() {
        let streams = Streams::new(160);
        for number in 0..10_000 {
            streams.stream("thing", &number.to_string());
        }
        assert!(streams.len() <= 160, "{}", streams.len());
    }

    #[test]
    fn a_stream_in_use_is_never_evicted() {
        let streams = Streams::new(16);
        let mine = streams.stream("thing", "mine");
        for number in 0..1_000 {
            streams.stream("thing", &number.to_string());
        }
        assert!(Arc::ptr_eq(&mine, &streams.stream("thing", "mine")));
    }
}
