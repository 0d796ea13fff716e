//! What one view reads while it is folded anew, and what of it does not decode.
//!
//! A log that decodes is read once. At the first event that does not, and before it is folded, the rest is looked through and all that
//! does not decode is told. Who wants to stop for it looks through everything before.
use std::sync::Arc;

use cairn_event_log::EventLog;

use super::feed::{Page, Seat};
use super::preflight::{self, Preflight};
use super::rebuild::Rebuild;
use super::{EngineError, Projection};

/// One view's reading of the log.
pub(crate) struct Reading<'o> {
    pub log: EventLog,
    pub seat: Seat,
    pub options: &'o Rebuild,
    /// What does not decode, when it was told.
    pub told: Option<Preflight>,
}

impl Reading<'_> {
    /// The page that goes on after a position.
    pub(crate) async fn page(
        &mut self,
        projection: &dyn Projection,
        range: (i64, i64),
    ) -> Result<Arc<Page>, EngineError> {
        let page = self.seat.page(range).await?;
        let mut unreadable = page.unreadable.iter().map(|&index| &page.events[index]);
        if self.told.is_none() && unreadable.any(|event| self.seat.wants(event)) {
            self.told = Some(look_ahead(&self.log, projection, page.after, self.options).await?);
        }
        Ok(page)
    }

    /// What did not decode. Nothing was told if there was nothing.
    pub(crate) fn done(self) -> Preflight {
        self.told.unwrap_or_else(|| {
            let none = Preflight::default();
            (self.options.preflight)(&none);
            none
        })
    }
}

/// Tells what does not decode after a position, and stops if that was asked for.
pub(crate) async fn look_ahead(
    log: &EventLog,
    projection: &dyn Projection,
    after: i64,
    options: &Rebuild,
) -> Result<Preflight, EngineError> {
    let range = (after, log.head().await?);
    let found = preflight::preflight(log, projection, range, &options.token).await?;
    (options.preflight)(&found);
    match found.events.first() {
        Some(first) if options.strict => Err(EngineError::Unreadable {
            name: projection.name().to_owned(),
            found: found.found,
            position: first.position,
        }),
        Some(_) | None => Ok(found),
    }
}
