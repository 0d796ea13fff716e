//! cairn-stripe
