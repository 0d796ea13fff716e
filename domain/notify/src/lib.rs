//! The notify context: who is told what happens, and where. So far endpoints of customers that webhooks go to.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod webhook_endpoint;

pub use webhook_endpoint::{
    DisableReason, Previous, WebhookEndpoint, WebhookEndpointCommand, WebhookEndpointError,
    WebhookEndpointEvent,
};
