//! What the demo proved, as its last line says it.
use serde::Serialize;

/// The whole story. Every part is filled in when it was lived through.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub node: NodePart,
    pub top_up: TopUpPart,
    pub allocation: AllocationPart,
    /// Decimal: what the rental cost.
    pub charged: String,
    /// Decimal: what those seconds cost at the pinned price, computed here.
    pub expected_charge: String,
    /// Decimal: what is left in the wallet after the refund.
    pub balance: String,
    pub currency: String,
    pub refund: RefundPart,
    pub compensation: CompensationPart,
    pub ledger: LedgerPart,
    pub reconciliation: ReconciliationPart,
    pub replay: ReplayPart,
    pub rebuild: RebuildPart,
    /// Events in the log.
    pub events: i64,
    /// What did not hold; empty when all did.
    pub failures: Vec<String>,
    /// Whether all of it held.
    pub held: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct NodePart {
    /// `namespace` or `scripted`.
    pub kind: String,
    pub statement: String,
    pub node_id: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct TopUpPart {
    pub top_up_id: String,
    pub status: String,
    pub amount: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct AllocationPart {
    pub allocation_id: String,
    pub status: String,
    /// What `id` printed over the customer's own SSH login.
    pub ssh_login: String,
    pub active_seconds: i64,
    pub per_hour: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct RefundPart {
    pub refund_id: String,
    pub status: String,
    pub amount: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct CompensationPart {
    pub allocation_id: String,
    pub status: String,
    pub failed_step: String,
    pub funds_restored: bool,
    pub left_on_node: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct LedgerPart {
    pub trial_balance: String,
    /// What `bean-check` and `hledger check` say of the export: `accepted`, `not installed`, or their words.
    pub bean_check: String,
    pub hledger_check: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ReconciliationPart {
    pub breaks: i64,
    pub matched: i64,
    pub expected: i64,
    pub proven: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ReplayPart {
    pub identical: bool,
    pub differences: i64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct RebuildPart {
    pub identical: bool,
    /// Views that were built anew.
    pub views: usize,
}

impl Report {
    /// Judges the story: names everything that did not hold.
    pub(super) fn judge(&mut self, error: Option<String>) {
        let tool = |said: &str| matches!(said, "accepted" | "not installed");
        let checks = [
            ("the top-up succeeded", self.top_up.status == "succeeded"),
            ("the rental was released", self.allocation.status == "released"),
            ("the customer logged in", self.allocation.ssh_login.starts_with("uid=")),
            ("the rental was charged", self.allocation.active_seconds > 0),
            ("the charge is the price of the seconds", self.charged == self.expected_charge),
            ("the refund succeeded", self.refund.status == "succeeded"),
            ("the second rental failed", self.compensation.status == "failed"),
            (
                "it failed at the step meant",
                self.compensation.failed_step == super::machine::FAILING.name(),
            ),
            ("its funds were restored", self.compensation.funds_restored),
            ("nothing of it is left on the node", self.compensation.left_on_node.is_empty()),
            ("the books balance", self.ledger.trial_balance == "0"),
            ("bean-check accepts the export", tool(&self.ledger.bean_check)),
            ("hledger accepts the export", tool(&self.ledger.hledger_check)),
            ("the provider's book agrees", self.reconciliation.breaks == 0),
            ("the provider's balance is proven", self.reconciliation.proven),
            ("replay gives the same state", self.replay.identical),
            ("rebuilt views are the same", self.rebuild.identical),
            ("there are events", self.events > 0),
        ];
        let failed = checks.iter().filter(|(_, held)| !held);
        self.failures =
            error.into_iter().chain(failed.map(|(name, _)| (*name).to_owned())).collect();
        self.held = self.failures.is_empty();
    }
}
