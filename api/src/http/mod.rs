//! HTTP: routes by context, each documented in the same breath, so that `/openapi.json` cannot drift.
//!
//! A request passes, outermost first: its id, its count, its own task with a time limit, the guard, and then one handler of at most 15
//! lines: extract, command or query, answer. On its way out, what is personal in the answer is opened,
//! and the answer gets its tag.
pub mod admit;
pub mod alerts;
pub mod answer;
pub mod arrival;
pub mod auto_top_up;
pub mod billing;
pub mod body;
mod by_currency;
pub mod catalog;
pub mod charges;
pub mod compute;
pub mod corrections;
pub mod device_page;
pub mod discounts;
pub mod disks;
pub mod disputed;
pub mod documents;
pub mod downloads;
pub mod edge;
pub mod events;
pub mod features;
pub mod fleet;
pub mod flight;
pub mod guard;
pub mod health;
pub mod identity;
pub mod inbox;
pub mod invoices;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod notifications;
pub mod notify;
pub mod notify_shapes;
pub mod opened;
pub mod own;
pub mod page;
pub mod papers;
pub mod payment_methods;
pub mod payments;
pub mod preview;
pub mod prices;
pub mod reader;
pub mod rentals;
pub mod request_id;
pub mod resizing;
mod routes;
pub mod server;
mod service;
pub mod shapes;
pub mod spending;
pub mod state;
pub mod supervise;
pub mod tickets;
mod traced;
pub mod usage;
pub mod verification;
pub mod viewer;
pub mod webhooks;
pub mod wish;

pub use self::routes::openapi;
use self::routes::routes;
pub use self::service::service;
