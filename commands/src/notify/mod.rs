//! The notify context: webhooks to endpoints of customers, by the rules of Standard Webhooks 1.0.0.
//!
//! | part | does |
//! |---|---|
//! | [`endpoints`] | the commands: create, change, rotate the secret, test, disable, enable, delete |
//! | [`Teller`] | follows the log and notes for each endpoint which public events it is owed, under a lease |
//! | [`Deliverer`] | sends what is due, again and again by the schedule, each endpoint by itself |
//! | [`again`] | wants a delivery once more: one, or everything from a position on |
//! | [`shown`] | what was sent, and what came of it |
//!
//! An event is told of whose it is: the organisation that its stream belongs to, whoever caused it. What belongs to nobody (nodes, what
//! is for sale) is not told here. A delivery holds no message: it is made of the fact at each attempt.
pub mod again;
mod deliver;
mod due;
pub mod endpoints;
mod kinds;
mod owner;
mod schedule;
mod secrets;
pub mod shown;
mod targets;
mod tell;

pub use deliver::{DeliverConfig, Deliverer};
pub use schedule::SCHEDULE;
pub use tell::{TELLER, TellConfig, Teller};
