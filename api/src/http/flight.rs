//! Wishes that are being carried out in this process: the same one again is told so, instead of waiting for the first.
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::problem::Problem;

/// The command ids of wishes on their way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<String>>>);

/// One of them, for as long as it is held.
#[derive(Debug)]
pub struct Flight {
    all: InFlight,
    command_id: String,
}

impl InFlight {
    fn all(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Begins to carry a wish out.
    ///
    /// # Errors
    /// `command_in_flight`.
    pub fn begin(&self, command_id: &str) -> Result<Flight, Problem> {
        if self.all().insert(command_id.to_owned()) {
            return Ok(Flight { all: self.clone(), command_id: command_id.to_owned() });
        }
        let detail = "the first request with this Idempotency-Key is being carried out: send it again in a second";
        Err(Problem::new("command_in_flight", detail))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.all().remove(&self.command_id);
    }
}

#[cfg(test)]
mod tests {
    use super::InFlight;

    #[test]
    fn a_wish_is_on_its_way_until_it_has_landed() {
        let all = InFlight::default();
        let first = all.begin("a").unwrap();
        assert_eq!(all.clone().begin("a").unwrap_err().code.name, "command_in_flight");
        assert!(all.begin("b").is_ok(), "another one");
        drop(first);
        assert!(all.begin("a").is_ok());
    }
}
