//! Stories of the saga matrix that are told beside rentals: disputes, and wallets that are filled by themselves.
use cairn_commands::payments::{SetAutoTopUp, apply_provider_dispute, dispute_id, set_auto_top_up};
use cairn_commands::ports::{ProviderDispute, ProviderDisputeLine, ProviderDisputeStanding};
use cairn_core::{Currency, PaymentId};
use cairn_ledger::wallet_id;
use cairn_payments::{AutoTopUp, Terms};

use super::harness::usd;
use super::matrix::Run;
use super::provider::DECLINED;
use super::table::Story;

impl Run<'_> {
    /// The bank takes the payment back, and it is decided who is right.
    pub(super) async fn dispute(&mut self) {
        let payment_id = self.top_up().await.unwrap();
        let lost = self.cell.story == Story::LostDispute;
        let opened = self.report(payment_id, (ProviderDisputeStanding::Open, &[-20]));
        self.harness.world.dispute_stands(opened.clone());
        let context = self.harness.context();
        apply_provider_dispute(&self.harness.commands, &context, &opened).await.unwrap();
        // Longer than it is tried before an operator is called.
        self.harness.run_for(1_000).await;
        self.mend().await;
        assert_eq!(self.wallet().await.held_nanos, usd(20).nanos, "{:?}: set aside", self.cell);
        let decided = match lost {
            true => self.report(payment_id, (ProviderDisputeStanding::Lost, &[-20])),
            false => self.report(payment_id, (ProviderDisputeStanding::Won, &[-20, 20])),
        };
        self.harness.world.dispute_stands(decided);
        let key = dispute_id(&opened.provider_id).to_string();
        assert_eq!(self.pursue("settle_dispute", &key).await, "done", "{:?}", self.cell);
        self.mend().await;
        let wallet = self.wallet().await;
        let left = if lost { 0 } else { usd(20).nanos };
        assert_eq!((wallet.posted_nanos, wallet.held_nanos), (left, 0), "{:?}", self.cell);
    }

    /// What the provider says of it, with what it took and gave back in units.
    fn report(
        &self,
        payment_id: PaymentId,
        (standing, lines): (ProviderDisputeStanding, &[i64]),
    ) -> ProviderDispute {
        let provider_id = format!("du_{}", self.organisation_id);
        let at = self.harness.clock_now();
        let line = |(number, units): (usize, &i64)| ProviderDisputeLine {
            balance_transaction_id: format!("txn_{provider_id}_{number}"),
            amount: usd(*units),
            fee_nanos: 0,
            at,
        };
        ProviderDispute {
            payment_id: Some(payment_id),
            charge_id: "ch_1".to_owned(),
            amount: usd(20),
            reason: "fraudulent".to_owned(),
            opened_at: at,
            standing,
            lines: lines.iter().enumerate().map(line).collect(),
            provider_id,
        }
    }

    /// An empty wallet is filled by itself, or its card is declined; then somebody switches it off.
    pub(super) async fn fill(&mut self) {
        let takes = self.cell.story == Story::Filled;
        let card = if takes { "pm_card_visa" } else { DECLINED };
        self.set_filled(true, card).await;
        let wallet_id = wallet_id(self.organisation_id, Currency::USD);
        let mut found = AutoTopUp::default();
        for _ in 0..10 {
            // Longer than the pause after a success, and shorter than the wait after a decline.
            self.harness.run_for(700).await;
            self.mend().await;
            found = self.harness.load(&wallet_id).await;
            if found.last.is_some() {
                break;
            }
        }
        self.set_filled(false, card).await;
        self.harness.run_for(700).await;
        self.mend().await;
        let cell = self.cell;
        assert_eq!((found.attempts, &found.in_flight), (1, &None), "{cell:?}: {found:?}");
        assert_eq!(found.last.unwrap().declined.is_some(), !takes, "{cell:?}");
        let available = if takes { usd(10).nanos } else { 0 };
        assert_eq!(self.wallet().await.available_nanos(), available, "{cell:?}");
        self.check_books(None, 0).await;
    }

    async fn set_filled(&self, enabled: bool, card: &str) {
        let input = SetAutoTopUp {
            organisation_id: self.organisation_id,
            currency: Currency::USD,
            enabled,
            terms: Some(Terms {
                threshold_nanos: usd(4).nanos,
                amount_nanos: usd(10).nanos,
                monthly_cap_nanos: usd(100).nanos,
            }),
            payment_method: Some(card.to_owned()),
        };
        let (commands, context) = (&self.harness.commands, self.harness.context());
        set_auto_top_up(commands, &context, input).await.unwrap();
    }
}
