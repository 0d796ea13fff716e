//! Webhooks out, by the rules of Standard Webhooks 1.0.0: signed, bounded, and to nobody inside the house.
//!
//! Customers choose the addresses, so each is a stranger's wish to let this server call somebody. What we add to HTTP: names are looked
//! up by us, and a connection is made only to what was looked up and found public; nothing is followed, nothing goes through a proxy, no
//! connection is kept, and of an answer only the beginning is read.
mod address;
mod client;
mod resolver;
mod signature;
mod target;

pub use client::{WebhookConfig, WebhookSender};
pub use resolver::{Lookup, SystemLookup};
pub use signature::signature;
pub use target::Strangers;
