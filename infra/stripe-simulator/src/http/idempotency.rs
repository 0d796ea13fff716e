//! Idempotency keys as Stripe keeps them: the same key answers the same, with other parameters it is refused. A failure after the
//! request began is an answer too, and stays one; requests that never began (bad parameters, a failure before) leave none behind.
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ApiError;

/// What was asked first under a key, and what was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answered {
    key: String,
    path: String,
    params: Value,
    status: u16,
    body: Value,
}

/// All answers by key.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_key: HashMap<String, Answered>,
    fresh: Vec<String>,
}

impl Answers {
    /// The first answer, if there was one.
    pub fn recall(
        &self,
        key: &str,
        path: &str,
        params: &Value,
    ) -> Result<Option<(u16, Value)>, ApiError> {
        match self.by_key.get(key) {
            None => Ok(None),
            Some(first) if first.path == path && first.params == *params => {
                Ok(Some((first.status, first.body.clone())))
            }
            Some(_) => Err(ApiError::key_reused(key)),
        }
    }

    /// Whether there was an answer.
    pub fn knows(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Forgets it, as after a day.
    pub fn forget(&mut self, key: &str) {
        self.by_key.remove(key);
    }

    /// Keeps an answer, if the request was carried out.
    pub fn keep(
        &mut self,
        key: &str,
        (path, params): (&str, &Value),
        (status, body): (u16, &Value),
    ) {
        if matches!(status, 200 | 402 | 500) {
            let answered = Answered {
                key: key.to_owned(),
                path: path.to_owned(),
                params: params.clone(),
                status,
                body: body.clone(),
            };
            self.put(answered);
        }
    }

    /// Adds an answer.
    pub fn put(&mut self, answered: Answered) {
        self.fresh.push(answered.key.clone());
        self.by_key.insert(answered.key.clone(), answered);
    }

    /// What was added since the last time.
    pub fn take_fresh(&mut self) -> Vec<&Answered> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.iter().filter_map(|key| self.by_key.get(key)).collect()
    }
}
