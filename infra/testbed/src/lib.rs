//! cairn-testbed
