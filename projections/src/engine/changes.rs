//! What one event does to rows: said by a projection, done by the engine when it has the rows.
use super::ProjectError;
use super::row::Row;
use super::store::Store;

/// The changes of one event, done in this order or not at all.
#[derive(Default)]
pub struct Changes {
    steps: Vec<Box<dyn Step>>,
}

impl Changes {
    /// Makes a row that must not be there yet.
    pub fn insert<R: Row>(&mut self, row: R) {
        self.step(row.key(), |key: &R::Key, there: &mut Option<R>| match there {
            None => {
                *there = Some(row);
                Ok(())
            }
            Some(_) => Err(inconsistent::<R>(key, "is there already")),
        });
    }

    /// Changes a row that must be there.
    pub fn change<R: Row>(
        &mut self,
        key: R::Key,
        change: impl FnOnce(&mut R) -> Result<(), ProjectError> + Send + 'static,
    ) {
        self.step(key, |key: &R::Key, row: &mut Option<R>| match row {
            Some(row) => change(row),
            None => Err(inconsistent::<R>(key, "is not there")),
        });
    }

    /// Changes a row if it is there.
    pub fn change_any<R: Row>(
        &mut self,
        key: R::Key,
        change: impl FnOnce(&mut R) -> Result<(), ProjectError> + Send + 'static,
    ) {
        self.step(key, |_: &R::Key, row: &mut Option<R>| row.as_mut().map_or(Ok(()), change));
    }

    /// Makes a row, or another one of the one that is there.
    pub fn put<R: Row>(
        &mut self,
        key: R::Key,
        put: impl FnOnce(Option<R>) -> Result<R, ProjectError> + Send + 'static,
    ) {
        self.step(key, |_: &R::Key, row: &mut Option<R>| {
            *row = Some(put(row.take())?);
            Ok(())
        });
    }

    /// Takes away a row that must be there.
    pub fn remove<R: Row>(&mut self, key: R::Key) {
        self.step(key, |key: &R::Key, row: &mut Option<R>| match row.take() {
            Some(_) => Ok(()),
            None => Err(inconsistent::<R>(key, "is not there")),
        });
    }

    /// Adds a row to its group, in sight of the group's last one.
    pub fn append<R: Row>(
        &mut self,
        group: R::Key,
        append: impl FnOnce(Option<R>) -> Result<R, ProjectError> + Send + 'static,
    ) {
        debug_assert!(R::APPENDS, "rows of {} are addressed by their key", R::TABLE);
        self.put(group, append);
    }

    fn step<R: Row>(
        &mut self,
        key: R::Key,
        fold: impl FnOnce(&R::Key, &mut Option<R>) -> Result<(), ProjectError> + Send + 'static,
    ) {
        let row = std::marker::PhantomData::<fn() -> R>;
        self.steps.push(Box::new(Change { key, place: 0, fold, row }));
    }

    /// Tells the store which rows they need.
    pub(crate) fn want(&mut self, store: &mut Store) {
        self.steps.iter_mut().for_each(|step| step.want(store));
    }

    /// Does them, or leaves every row as it was.
    pub(crate) fn apply(self, store: &mut Store) -> Result<(), ProjectError> {
        let done = self.steps.into_iter().try_for_each(|step| step.apply(store));
        if done.is_ok() {
            store.accept()
        } else {
            store.undo()
        }
        done
    }
}

fn inconsistent<R: Row>(key: &R::Key, what: &str) -> ProjectError {
    ProjectError::Inconsistent(format!("the row {key:?} of {} {what}", R::TABLE))
}

trait Step: Send {
    fn want(&mut self, store: &mut Store);
    fn apply(self: Box<Self>, store: &mut Store) -> Result<(), ProjectError>;
}

struct Change<R: Row, F> {
    key: R::Key,
    /// Where the row is, once it was asked for.
    place: usize,
    fold: F,
    row: std::marker::PhantomData<fn() -> R>,
}

impl<R: Row, F> Step for Change<R, F>
where
    F: FnOnce(&R::Key, &mut Option<R>) -> Result<(), ProjectError> + Send,
{
    fn want(&mut self, store: &mut Store) {
        self.place = store.table::<R>().want(&self.key);
    }

    fn apply(self: Box<Self>, store: &mut Store) -> Result<(), ProjectError> {
        let Self { place, fold, .. } = *self;
        store.table::<R>().fold(place, fold)
    }
}

#[cfg(test)]
mod tests {
    use super::super::advance::apply;
    use super::super::store::Store;
    use super::Changes;
    use crate::ProjectError;
    use crate::row;

    row! {
        struct Stone in "stones" by (name: String) {
            name: String,
            weight: i64,
        }
    }

    row! {
        struct Layer in "layers" last_of (cairn: String) {
            position: i64,
            cairn: String,
            height: i64,
        }
    }

    fn stone(name: &str, weight: i64) -> Stone {
        Stone { name: name.to_owned(), weight }
    }

    fn done(store: &mut Store, say: impl FnOnce(&mut Changes)) -> Result<(), ProjectError> {
        let mut changes = Changes::default();
        say(&mut changes);
        changes.want(store);
        apply(changes, store)
    }

    fn weight(store: &mut Store, name: &str) -> Option<i64> {
        let mut seen = None;
        let table = store.table::<Stone>();
        let key = (name.to_owned(),);
        let place = table.want(&key);
        table
            .fold(place, |_, row| {
                seen = row.as_ref().map(|row| row.weight);
                Ok(())
            })
            .unwrap();
        seen
    }

    #[test]
    fn an_event_that_fails_leaves_every_row_as_it_was() {
        let mut store = Store::copying(true);
        done(&mut store, |changes| changes.insert(stone("a", 1))).unwrap();
        let fails: [fn(&mut Changes); 4] = [
            |changes| changes.insert(stone("a", 9)),
            |changes| changes.change(("none".to_owned(),), |_: &mut Stone| Ok(())),
            |changes| changes.remove::<Stone>(("none".to_owned(),)),
            |changes| {
                changes.change(("a".to_owned(),), |row: &mut Stone| {
                    row.weight = 9;
                    panic!("half way")
                })
            },
        ];
        for fail in fails {
            let failed = done(&mut store, |changes| {
                changes.change(("a".to_owned(),), |row: &mut Stone| {
                    row.weight = 7;
                    Ok(())
                });
                changes.insert(stone("b", 2));
                fail(changes);
            });
            assert!(failed.unwrap_err().is_poison());
            assert_eq!((weight(&mut store, "a"), weight(&mut store, "b")), (Some(1), None));
        }
    }

    #[test]
    fn later_changes_see_what_earlier_ones_did() {
        let mut store = Store::copying(true);
        done(&mut store, |changes| {
            changes.insert(stone("a", 1));
            changes.change(("a".to_owned(),), |row: &mut Stone| {
                row.weight += 1;
                Ok(())
            });
            changes.put(("b".to_owned(),), |row: Option<Stone>| Ok(row.unwrap_or(stone("b", 5))));
            changes.change_any(("none".to_owned(),), |_: &mut Stone| panic!("there is none"));
        })
        .unwrap();
        assert_eq!((weight(&mut store, "a"), weight(&mut store, "b")), (Some(2), Some(5)));
        done(&mut store, |changes| changes.remove::<Stone>(("a".to_owned(),))).unwrap();
        assert_eq!(weight(&mut store, "a"), None);
        done(&mut store, |changes| changes.insert(stone("a", 3))).unwrap();
        assert_eq!(weight(&mut store, "a"), Some(3));
    }

    #[test]
    fn an_added_row_sees_the_last_of_its_group_and_goes_with_its_event() {
        let mut store = Store::copying(true);
        let lay = |position: i64| {
            move |changes: &mut Changes| {
                changes.append(("c".to_owned(),), move |last: Option<Layer>| {
                    let height = last.map_or(0, |last| last.height) + 1;
                    Ok(Layer { position, cairn: "c".to_owned(), height })
                });
            }
        };
        done(&mut store, lay(1)).unwrap();
        let failed = done(&mut store, |changes| {
            lay(2)(changes);
            changes.remove::<Stone>(("none".to_owned(),));
        });
        assert!(failed.is_err());
        done(&mut store, lay(3)).unwrap();
        let heights: Vec<_> =
            store.table::<Layer>().added().iter().map(|l| (l.position, l.height)).collect();
        assert_eq!(heights, [(1, 1), (3, 2)]);
    }
}
