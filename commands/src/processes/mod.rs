//! Process managers: events in, intents out, pure; and the runtime that follows the log for them and carries out what they want.
//!
//! | process | begins with | ends with |
//! |---|---|---|
//! | [`top_up`] | `payment.requested` | credit on the wallet and the fee in the books |
//! | [`fill_wallet`] | `auto_top_up.set` | nothing: it looks at the wallet as long as it is on |
//! | [`charge_top_up`] | `auto_top_up.begun` | the payment in the wallet, or declined |
//! | [`rent_node`] | `allocation.requested` | `allocation.activated`, or everything undone |
//! | [`meter_usage`] | `allocation.activated` | `allocation.release_requested` |
//! | [`dunning`] | `wallet.hold_placed` | no hold left; looks how long the money lasts meanwhile |
//! | [`suspend_tenant`] | `allocation.suspension_requested` | `allocation.resumed`, or its release |
//! | [`resize_tenant`] | `allocation.resize_requested` | another SKU, or the one before, and the capacity of that |
//! | [`release_node`] | `allocation.release_requested` | `allocation.released` |
//! | [`refund_payment`], [`credit_invoice`] | `wallet.refund_reserved`, `credit_note.issued` | `refund.succeeded`, or the money back in the wallet; what the note gives back in it, and the note about what a correction has |
//! | [`settle_dispute`] | `dispute.opened` | the dispute decided, and its money where it belongs |
//! | [`save_method`], [`forget_customer`] | `payment_method.requested`, `.customer_made` | the method kept at the provider, or not; gone there when it is removed, or with its customer when that is erased |
//! | [`drain_node`] | `node.policy_changed(draining)` | an empty node |
//! | [`expire_hold`], [`expire_credit`] | `wallet.hold_placed`, `.credit_granted` | the hold released, the credit used, or expired in time |
//! | [`send_mail`] | `user.link_requested`, `user.reminded`, `organisation.member_invited`, `dunning.*`, `auto_top_up.*`, `wallet.spending_reached`, `wallet.project_limit_reached`, `wallet.alert_reached`, `wallet.project_alert_reached`, `payment.action_required`, `payment.failed`, `invoice.issued`, `credit_note.issued` | the letter handed over |
//! | [`verify_node`] | `node.enrolled` | retirement; watches the node meanwhile |
pub mod charge_top_up;
pub mod credit_invoice;
pub mod drain_node;
pub mod drift;
pub mod dunning;
pub mod effect;
pub mod expire_credit;
pub mod expire_hold;
pub mod fact;
pub mod fill_wallet;
pub mod forget_customer;
pub mod intent;
pub mod letter;
pub mod manager;
pub mod meter_usage;
pub mod operator;
pub mod refund_payment;
pub mod release_node;
pub mod rent_node;
pub mod resize_tenant;
pub mod runner;
pub mod save_method;
pub mod send_mail;
pub mod settle_dispute;
pub mod suspend_tenant;
pub mod timer;
pub mod top_up;
pub mod verify_node;

mod every;
mod follow;
mod gate;
pub(crate) mod send;
pub(crate) mod store;
mod take_in;
mod work;

pub use every::all;
pub use fact::{Fact, Occurrence};
pub use gate::{Gate, Leased, OpenGate, Verdict};
pub use intent::{Action, Command, Effect, Intent, Timer};
pub use letter::{FundsNews, Letter, PaperKind, PaymentNews, Reached, TopUpNews};
pub use manager::{Alarm, AnyManager, Awoken, Erased, ProcessManager, Settings, Status};
pub use runner::{Runner, RunnerConfig};
