//! cairn-event-log
