//! The engine and the views against a real PostgreSQL, with events decided by the domain itself.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod breaks;
mod compare;
mod credit;
mod engine;
mod flags;
mod generations;
mod migrations;
mod paging;
mod papers;
mod people;
mod periods;
mod poison;
mod preflight;
mod rebuild;
mod stall;
mod story;
mod together;
mod unproven;
mod views;
mod wishes;
mod world;
