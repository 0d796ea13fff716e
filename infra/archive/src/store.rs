//! Segments on their way out of the archive: nothing is believed that is not as it was recorded.
use cairn_event_log::{SegmentError, SegmentRecord};
use cairn_seal::SealedEvent;
use cairn_sealer::Place;

use crate::segment;

/// The bytes of a segment as they lie there.
pub(crate) async fn body(place: &Place, record: &SegmentRecord) -> Result<Vec<u8>, SegmentError> {
    let found = place.get(&record.object).await;
    let found = found.map_err(|error| SegmentError { why: error.to_string(), transient: true })?;
    let missing = || SegmentError {
        why: format!("it is not there, below {}", place.url()),
        transient: false,
    };
    found.ok_or_else(missing)
}

/// The events of a segment, which must be the very bytes that were recorded.
pub(crate) fn events(record: &SegmentRecord, body: &[u8]) -> Result<Vec<SealedEvent>, String> {
    if segment::digest(body).0[..] != record.digest[..] {
        return Err("it is not what was written: its digest is another".to_owned());
    }
    let events = segment::unpack(body)?;
    let due = record.first_position..=record.last_position;
    if due.eq(events.iter().map(|event| event.position)) {
        Ok(events)
    } else {
        Err("it does not hold the positions it should".to_owned())
    }
}
