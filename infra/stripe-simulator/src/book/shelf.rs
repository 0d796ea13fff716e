//! Things in the order they were made, found by id, listed newest first as Stripe lists them.
use std::collections::HashMap;

use serde::{Serialize, Serializer};

/// What a shelf keeps.
pub trait Kept {
    /// Its id.
    fn id(&self) -> &str;
    /// When it was made, in seconds.
    fn created(&self) -> i64;
}

macro_rules! kept {
    ($($name:ty),+) => {$(
        impl Kept for $name {
            fn id(&self) -> &str {
                &self.id
            }

            fn created(&self) -> i64 {
                self.created
            }
        }
    )+};
}

kept!(
    super::PaymentIntent,
    super::Customer,
    super::PaymentMethod,
    super::SetupIntent,
    super::Charge,
    super::Refund,
    super::Dispute,
    super::Payout,
    super::Transaction,
    super::Event
);

#[derive(Debug, Clone)]
pub(crate) struct Shelf<T> {
    items: Vec<T>,
    places: HashMap<String, usize>,
    changed: Vec<usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: HashMap::new(), changed: Vec::new() }
    }
}

impl<T: Serialize> Serialize for Shelf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(serializer)
    }
}

/// Which part of a list.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    pub limit: usize,
    pub starting_after: Option<String>,
    pub ending_before: Option<String>,
    pub created_from: i64,
    pub created_to: Option<i64>,
}

/// A part of a list, newest first.
pub(crate) struct Page<'a, T> {
    pub items: Vec<&'a T>,
    pub has_more: bool,
}

impl<T: Kept> Shelf<T> {
    pub fn add(&mut self, item: T) {
        self.places.insert(item.id().to_owned(), self.items.len());
        self.changed.push(self.items.len());
        self.items.push(item);
    }

    /// Adds it, or puts it in the place of its earlier self.
    pub fn put(&mut self, item: T) {
        match self.get_mut(item.id()) {
            Some(earlier) => *earlier = item,
            None => self.add(item),
        }
    }

    /// What was added or changed since the last time, in the order of its making.
    pub fn take_changed(&mut self) -> Vec<&T> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed.into_iter().filter_map(|place| self.items.get(place)).collect()
    }

    pub fn get(&self, id: &str) -> Option<&T> {
        self.items.get(*self.places.get(id)?)
    }

    /// For changing it: it counts as changed.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        let place = *self.places.get(id)?;
        self.changed.push(place);
        self.items.get_mut(place)
    }

    pub fn all(&self) -> &[T] {
        &self.items
    }

    /// The page, or the cursor that does not exist.
    pub fn page(&self, paging: &Paging, keep: impl Fn(&T) -> bool) -> Result<Page<'_, T>, String> {
        let place = |id: &String| self.places.get(id).copied().ok_or_else(|| id.clone());
        let upto = paging.starting_after.as_ref().map(place).transpose()?;
        let from = paging.ending_before.as_ref().map(place).transpose()?;
        let range = from.map_or(0, |from| from + 1)..upto.unwrap_or(self.items.len());
        let fits = |item: &&T| {
            item.created() >= paging.created_from
                && paging.created_to.is_none_or(|to| item.created() <= to)
                && keep(item)
        };
        let window = self.items.get(range).unwrap_or_default().iter().filter(fits);
        // Before a cursor means: the nearest ones that are newer than it.
        let mut items: Vec<&T> = if from.is_some() {
            window.take(paging.limit + 1).collect()
        } else {
            window.rev().take(paging.limit + 1).collect()
        };
        let has_more = items.len() > paging.limit;
        items.truncate(paging.limit);
        if from.is_some() {
            items.reverse();
        }
        Ok(Page { items, has_more })
    }
}

#[cfg(test)]
mod tests {
    use super::{Paging, Shelf};
    use crate::book::Event;

    fn shelf() -> Shelf<Event> {
        let mut shelf = Shelf::default();
        for n in 1..=5 {
            shelf.add(Event {
                id: format!("e{n}"),
                created: n,
                kind: String::new(),
                object: serde_json::Value::Null,
            });
        }
        shelf
    }

    fn check(paging: Paging, ids: &[&str], has_more: bool) {
        let shelf = shelf();
        let page = shelf.page(&paging, |_| true).ok().unwrap();
        let found: Vec<&str> = page.items.iter().map(|event| event.id.as_str()).collect();
        assert_eq!((found.as_slice(), page.has_more), (ids, has_more), "{paging:?}");
    }

    #[test]
    fn lists_are_newest_first() {
        check(Paging { limit: 2, ..Paging::default() }, &["e5", "e4"], true);
        check(Paging { limit: 9, created_from: 4, ..Paging::default() }, &["e5", "e4"], false);
    }

    #[test]
    fn pages_go_on_where_the_last_ended() {
        let after = |id: &str| Paging {
            limit: 2,
            starting_after: Some(id.to_owned()),
            ..Paging::default()
        };
        check(after("e4"), &["e3", "e2"], true);
        check(after("e2"), &["e1"], false);
    }

    #[test]
    fn before_a_cursor_are_its_nearest_newer_neighbours() {
        let before =
            |id: &str| Paging { limit: 2, ending_before: Some(id.to_owned()), ..Paging::default() };
        check(before("e1"), &["e3", "e2"], true);
        check(before("e5"), &[], false);
    }
}
