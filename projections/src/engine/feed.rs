//! One reader of the log for all views that are folded anew together: each page is read and decoded once, and handed to every view.
use std::collections::HashSet;
use std::sync::Arc;

use cairn_event_log::{EventLog, LogError, Reader, Recorded};
use foldhash::fast::RandomState;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Projection;
use crate::decode;

/// Positions that are read at once.
const PAGE: i64 = 2_000;
/// Pages that are read ahead of the slowest view. They, and not the length of the log, bound the memory that events take.
const AHEAD: usize = 8;

/// What some views read of a stretch of the log.
pub(crate) struct Page {
    /// Position before its first.
    pub after: i64,
    /// Its last position.
    pub until: i64,
    /// In the log's order.
    pub events: Vec<Recorded>,
    /// Which of them do not decode.
    pub unreadable: Vec<usize>,
}

impl Page {
    async fn read(
        reader: &mut Reader,
        (after, until): (i64, i64),
        types: Option<&[String]>,
    ) -> Result<Self, LogError> {
        let events = reader.read((after, until), types).await?;
        let read = events.iter().enumerate();
        let unreadable = read.filter(|(_, event)| decode::check(event).is_err());
        let unreadable = unreadable.map(|(index, _)| index).collect();
        Ok(Self { after, until, events, unreadable })
    }
}

type Sent = Result<Arc<Page>, LogError>;

/// The reader before it begins.
#[derive(Default)]
pub(crate) struct Feed {
    seats: Vec<mpsc::Sender<Sent>>,
    types: Types,
    /// Where the first of its views begins.
    from: Option<i64>,
}

/// Types of events; `None` is every type.
#[derive(Clone)]
struct Types(Option<HashSet<String, RandomState>>);

impl Default for Types {
    fn default() -> Self {
        Self(Some(HashSet::default()))
    }
}

impl Types {
    fn of(projection: &dyn Projection) -> Self {
        Self(projection.interest().types().map(|types| types.into_iter().collect()))
    }

    fn list(&self) -> Option<Vec<String>> {
        let mut types: Vec<_> = self.0.as_ref()?.iter().cloned().collect();
        types.sort_unstable();
        Some(types)
    }

    fn and(self, more: &Self) -> Self {
        let both = self.0.zip(more.0.as_ref());
        Self(both.map(|(types, more)| types.union(more).cloned().collect()))
    }
}

impl Feed {
    /// A place for one more view, which has folded the log up to a position.
    pub(crate) fn seat(
        &mut self,
        log: &EventLog,
        projection: &dyn Projection,
        position: i64,
    ) -> Seat {
        let (sender, pages) = mpsc::channel(AHEAD);
        let types = Types::of(projection);
        self.seats.push(sender);
        self.types = std::mem::take(&mut self.types).and(&types);
        self.from = Some(self.from.map_or(position, |from| from.min(position)));
        Seat { reader: log.reader(), list: types.list(), types, pages, page: None }
    }

    /// Reads up to where the log ends now, for as long as somebody listens and the answer is held.
    pub(crate) fn begin(self, log: &EventLog) -> JoinSet<()> {
        let (mut reader, log) = (JoinSet::new(), log.clone());
        reader.spawn(self.run(log));
        reader
    }

    async fn run(mut self, log: EventLog) {
        let (types, mut reader) = (self.types.list(), log.reader());
        let (mut after, head) = (self.from.unwrap_or(0), log.head().await);
        while !self.seats.is_empty() {
            let page = match head.clone() {
                Ok(head) if after >= head => return,
                Ok(head) => {
                    let range = (after, head.min(after + PAGE));
                    Page::read(&mut reader, range, types.as_deref()).await.map(Arc::new)
                }
                Err(error) => Err(error),
            };
            let (mut left, read) = (vec![], page.as_ref().map(|page| page.until).ok());
            for seat in self.seats {
                if seat.send(page.clone()).await.is_ok() {
                    left.push(seat);
                }
            }
            self.seats = left;
            let Some(read) = read else { return };
            after = read;
        }
    }
}

/// One view's place at the feed.
pub(crate) struct Seat {
    reader: Reader,
    types: Types,
    list: Option<Vec<String>>,
    pages: mpsc::Receiver<Sent>,
    page: Option<Arc<Page>>,
}

impl Seat {
    /// The page that goes on after a position. What the feed did not read, because it came later, is read here.
    pub(crate) async fn page(&mut self, (after, until): (i64, i64)) -> Result<Arc<Page>, LogError> {
        loop {
            let known = self.page.take_if(|page| page.until <= after);
            drop(known);
            if let Some(page) = &self.page {
                return Ok(Arc::clone(page));
            }
            let page = match self.pages.recv().await {
                Some(page) => page?,
                None => {
                    let (range, types) = ((after, until.min(after + PAGE)), self.list.as_deref());
                    Arc::new(Page::read(&mut self.reader, range, types).await?)
                }
            };
            self.page = Some(page);
        }
    }

    /// Whether its view reads an event.
    pub(crate) fn wants(&self, event: &Recorded) -> bool {
        self.types.0.as_ref().is_none_or(|types| types.contains(&event.event_type))
    }
}
