//! Effects: intents in, ports called, outcome recorded as a command. Each inspects, acts and verifies; each may run twice.
mod act;
mod assess_funds;
mod charge_usage;
mod collect_payment;
mod compare_inventory;
mod ensure_step;
mod fill_wallet;
pub(crate) mod follow_dispute;
mod hold_funds;
mod issue_note;
mod pay_refund;
mod perform;
mod probe_node;
mod reserve_capacity;
mod resize;
mod review_late;
mod save_method;
mod send_mail;
mod send_paper;
mod suspend_tenant;
mod tear_down;
mod write_payment;
mod write_top_up;

use std::sync::Arc;

use crate::ports::{Clock, MailPort, NodeDirectory, NodePort, PaperPort, PaymentPort};

pub(crate) use act::{Act, Origin};
pub use compare_inventory::drift;
pub(crate) use perform::{assume_done, perform, rehearse};

/// The ports that effects reach the outside by.
#[derive(Clone)]
pub struct Effects {
    /// Nodes.
    pub node: Arc<dyn NodePort>,
    /// The payment provider.
    pub payments: Arc<dyn PaymentPort>,
    /// E-mail.
    pub mail: Arc<dyn MailPort>,
    /// Papers as files.
    pub papers: Arc<dyn PaperPort>,
    /// Which nodes may be tried.
    pub directory: Arc<dyn NodeDirectory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effects").finish_non_exhaustive()
    }
}
