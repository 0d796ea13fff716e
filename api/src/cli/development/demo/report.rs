//! What the demo proved, as its last line says it.
use cairn_core::money::parse_nanos;
use serde::Serialize;

use super::machine::FAILING;

/// The whole story. A part that was not reached is `null`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub node: Option<NodePart>,
    pub top_up: Option<TopUpPart>,
    pub allocation: Option<AllocationPart>,
    /// Decimal: what the rental cost.
    pub charged: Option<String>,
    /// Decimal: what those seconds cost at the pinned price, computed here.
    pub expected_charge: Option<String>,
    /// Decimal: what is left in the wallet after the refund.
    pub balance: Option<String>,
    pub currency: String,
    pub refund: Option<RefundPart>,
    pub compensation: Option<CompensationPart>,
    pub ledger: Option<LedgerPart>,
    pub reconciliation: Option<ReconciliationPart>,
    pub replay: Option<ReplayPart>,
    pub rebuild: Option<RebuildPart>,
    pub month: Option<MonthPart>,
    /// Events in the log.
    pub events: Option<i64>,
    /// What did not hold; empty when all did.
    pub failures: Vec<String>,
    /// Whether all of it held.
    pub held: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct NodePart {
    /// `namespace` or `scripted`.
    pub kind: String,
    pub statement: String,
    pub node_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct TopUpPart {
    pub top_up_id: String,
    pub status: String,
    pub amount: String,
}

#[derive(Debug, Serialize)]
pub(super) struct AllocationPart {
    pub allocation_id: String,
    pub status: String,
    /// What `id` printed over the customer's own SSH login.
    pub ssh_login: String,
    pub active_seconds: i64,
    pub per_hour: String,
}

#[derive(Debug, Serialize)]
pub(super) struct RefundPart {
    pub refund_id: String,
    pub status: String,
    pub amount: String,
}

#[derive(Debug, Serialize)]
pub(super) struct CompensationPart {
    pub allocation_id: String,
    pub status: String,
    pub failed_step: String,
    pub funds_restored: bool,
    pub left_on_node: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct LedgerPart {
    pub trial_balance: String,
    /// What `bean-check` and `hledger check` say of the export: `accepted`, `not installed`, or their words.
    pub bean_check: String,
    pub hledger_check: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ReconciliationPart {
    pub breaks: i64,
    pub matched: i64,
    pub expected: i64,
    pub proven: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ReplayPart {
    pub identical: bool,
    pub differences: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct RebuildPart {
    pub identical: bool,
    /// Views that were built anew.
    pub views: usize,
}

/// What became of the simulated month.
#[derive(Debug, Serialize)]
pub(super) struct MonthPart {
    /// Such as `2026-01`.
    pub month: String,
    /// Errors between the books that were made on purpose.
    pub planted: usize,
    /// Of these, what the reconciliation found and named.
    pub breaks_found: usize,
    /// What it found beside them.
    pub false_alarms: usize,
    /// Whether the month is closed, and its balances are those that it was closed with.
    pub closed: bool,
    pub customers: usize,
    pub invoices: usize,
    /// Whether a charge was proven by sealed events alone.
    pub proof_ok: bool,
    pub books: LedgerPart,
}

/// What the provider's book holds at the end: the charge of the top-up, and the refund.
const PROVIDER_LINES: i64 = 2;

/// Whether a part was reached and is as it must be.
fn holds<T>(part: &Option<T>, check: impl Fn(&T) -> bool) -> bool {
    part.as_ref().is_some_and(check)
}

impl Report {
    /// Judges the story: names everything that did not hold.
    pub(super) fn judge(&mut self, error: Option<String>) {
        let accepted = |said: &str| matches!(said, "accepted" | "not installed");
        let (allocation, second) = (&self.allocation, &self.compensation);
        let (ledger, reconciled, month) = (&self.ledger, &self.reconciliation, &self.month);
        let checks = [
            ("the top-up succeeded", holds(&self.top_up, |t| t.status == "succeeded")),
            ("the rental was released", holds(allocation, |a| a.status == "released")),
            ("the customer logged in", holds(allocation, |a| a.ssh_login.starts_with("uid="))),
            ("the rental was charged", holds(allocation, |a| a.active_seconds > 0)),
            (
                "the charge is the price of the seconds",
                self.charged.is_some() && self.charged == self.expected_charge,
            ),
            ("the refund succeeded", holds(&self.refund, |r| r.status == "succeeded")),
            ("what came in went out or is left", self.money_adds_up() == Some(true)),
            ("the second rental failed", holds(second, |c| c.status == "failed")),
            ("it failed at the step meant", holds(second, |c| c.failed_step == FAILING.name())),
            ("its funds were restored", holds(second, |c| c.funds_restored)),
            ("nothing of it is left on the node", holds(second, |c| c.left_on_node.is_empty())),
            ("the books balance", holds(ledger, |l| l.trial_balance == "0")),
            ("bean-check accepts the export", holds(ledger, |l| accepted(&l.bean_check))),
            ("hledger accepts the export", holds(ledger, |l| accepted(&l.hledger_check))),
            ("the provider's book agrees", holds(reconciled, |r| r.breaks == 0)),
            (
                "every line of the provider's book is matched",
                holds(reconciled, |r| r.matched == PROVIDER_LINES && r.expected == 0),
            ),
            ("the provider's balance is proven", holds(reconciled, |r| r.proven)),
            ("replay gives the same state", holds(&self.replay, |r| r.identical)),
            ("rebuilt views are the same", holds(&self.rebuild, |r| r.identical && r.views > 0)),
            (
                "the month's planted breaks were found, and no others",
                holds(month, |m| m.breaks_found == m.planted && m.false_alarms == 0),
            ),
            ("the month was closed", holds(month, |m| m.closed)),
            ("the month's invoices were issued", holds(month, |m| m.invoices == m.customers)),
            ("a charge of the month was proven", holds(month, |m| m.proof_ok)),
            ("the month's books balance", holds(month, |m| m.books.trial_balance == "0")),
            (
                "outside programs accept the month's books",
                holds(month, |m| accepted(&m.books.bean_check) && accepted(&m.books.hledger_check)),
            ),
            ("there are events", holds(&self.events, |events| *events > 0)),
        ];
        let failed = checks.iter().filter(|(_, held)| !held);
        self.failures =
            error.into_iter().chain(failed.map(|(name, _)| (*name).to_owned())).collect();
        self.held = self.failures.is_empty();
    }

    /// Top-up = charge + refund + balance; `None` when one of them is not known.
    fn money_adds_up(&self) -> Option<bool> {
        let nanos = |text: &str| parse_nanos(text).ok();
        let came_in = nanos(&self.top_up.as_ref()?.amount)?;
        let (charged, left) = (nanos(self.charged.as_ref()?)?, nanos(self.balance.as_ref()?)?);
        let refunded = nanos(&self.refund.as_ref()?.amount)?;
        Some(came_in == charged + refunded + left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Report {
        let text = str::to_owned;
        Report {
            node: None,
            top_up: Some(TopUpPart {
                top_up_id: text("pay_1"),
                status: text("succeeded"),
                amount: text("20.00"),
            }),
            allocation: Some(AllocationPart {
                allocation_id: text("alloc_1"),
                status: text("released"),
                ssh_login: text("uid=20000"),
                active_seconds: 2,
                per_hour: text("3.60"),
            }),
            charged: Some(text("0.002")),
            expected_charge: Some(text("0.002")),
            balance: Some(text("0.008")),
            currency: text("USD"),
            refund: Some(RefundPart {
                refund_id: text("refund_1"),
                status: text("succeeded"),
                amount: text("19.99"),
            }),
            compensation: Some(CompensationPart {
                allocation_id: text("alloc_2"),
                status: text("failed"),
                failed_step: text(FAILING.name()),
                funds_restored: true,
                left_on_node: vec![],
            }),
            ledger: Some(LedgerPart {
                trial_balance: text("0"),
                bean_check: text("accepted"),
                hledger_check: text("accepted"),
            }),
            reconciliation: Some(ReconciliationPart {
                breaks: 0,
                matched: 2,
                expected: 0,
                proven: true,
            }),
            replay: Some(ReplayPart { identical: true, differences: 0 }),
            rebuild: Some(RebuildPart { identical: true, views: 11 }),
            month: Some(MonthPart {
                month: text("2026-01"),
                planted: 8,
                breaks_found: 8,
                false_alarms: 0,
                closed: true,
                customers: 3,
                invoices: 3,
                proof_ok: true,
                books: LedgerPart {
                    trial_balance: text("0"),
                    bean_check: text("accepted"),
                    hledger_check: text("accepted"),
                },
            }),
            events: Some(48),
            failures: vec![],
            held: false,
        }
    }

    #[test]
    fn money_that_went_nowhere_is_noticed() {
        let mut report = whole();
        report.judge(None);
        assert!(report.held, "{:?}", report.failures);
        report.balance = Some("0.009".to_owned());
        report.judge(None);
        assert_eq!(report.failures, ["what came in went out or is left"]);
    }

    #[test]
    fn a_month_with_an_alarm_too_many_does_not_hold() {
        let mut report = whole();
        report.month.as_mut().unwrap().false_alarms = 1;
        report.judge(None);
        assert_eq!(report.failures, ["the month's planted breaks were found, and no others"]);
    }

    #[test]
    fn a_line_that_may_still_be_matched_is_not_matched() {
        let mut report = whole();
        let young = ReconciliationPart { breaks: 0, matched: 1, expected: 1, proven: true };
        report.reconciliation = Some(young);
        report.judge(None);
        assert_eq!(report.failures, ["every line of the provider's book is matched"]);
    }

    #[test]
    fn a_story_that_never_began_holds_nothing() {
        let mut report = Report::default();
        report.judge(Some("no database".to_owned()));
        assert_eq!(report.failures.len(), 27, "the error and every check: {:?}", report.failures);
        let line = serde_json::to_value(&report).unwrap();
        let reached = line.as_object().unwrap().iter().filter(|(_, part)| !part.is_null());
        let reached: Vec<_> = reached.map(|(name, _)| name.as_str()).collect();
        assert_eq!(reached, ["currency", "failures", "held"]);
    }
}
