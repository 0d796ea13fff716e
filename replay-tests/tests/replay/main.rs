//! What we promised the past: old events decode, old logs fold to the same state, and a changed log is noticed.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
mod append;
mod archived;
mod determinism;
mod events;
mod export;
mod log;
mod outside;
mod past;
mod state;
mod story;
mod story_credit;
mod story_dispute;
mod story_finance;
mod story_identity;
mod story_limits;
mod story_methods;
mod story_money;
mod story_papers;
mod story_people;
mod story_prices;
mod story_projects;
mod story_tiers;
mod story_top_up;
mod story_usage;
mod tampering;
mod what_if;
