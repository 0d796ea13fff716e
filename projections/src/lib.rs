//! cairn-projections
