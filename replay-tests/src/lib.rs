//! cairn-replay-tests
