//! cairn-stripe-simulator
