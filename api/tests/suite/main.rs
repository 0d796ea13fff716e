//! The API over real HTTP: real PostgreSQL, the Stripe simulator, nodes by script.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod auth;
mod bad_input;
mod cli;
mod commands;
mod contract;
mod demo;
mod enrolment;
mod foreign;
mod hang_up;
mod house;
mod idempotency;
mod killed;
mod load;
mod openapi;
mod outage;
mod patience;
mod replay;
mod signals;
mod support;
mod thread;
mod tracing;
mod webhooks;
