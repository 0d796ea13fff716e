//! Stories of the saga matrix in which money runs out, or is set aside or given for nothing.
use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, SuspensionReason};
use cairn_core::{AllocationId, CreditId, Currency, HoldId};
use cairn_ledger::{GrantCredit, PlaceHold, Wallet, WalletCommand, wallet_id};
use serde_json::Value;

use super::harness::usd;
use super::matrix::Run;

impl Run<'_> {
    /// What is left of the hour that was set aside is used up, and the rental is let go while it is suspended.
    pub(super) async fn exhaust(&mut self, allocation_id: AllocationId) {
        self.until(allocation_id, |allocation| allocation.status == AllocationStatus::Suspended)
            .await;
        self.ask_for_release(allocation_id).await;
    }

    /// There is money for many hours, so that it goes on as soon as its node has confirmed that it stands still.
    pub(super) async fn suspend(&mut self, allocation_id: AllocationId) {
        let (reason, at) = (SuspensionReason::FundsExhausted, self.harness.clock_now());
        let suspend = AllocationCommand::RequestSuspension { reason, at };
        let (executor, context) = (self.harness.commands.executor.clone(), self.harness.context());
        let id = allocation_id.to_string();
        executor.execute::<Allocation>(&id, suspend, &context, Value::Null).await.unwrap();
        let is_over = |allocation: &Allocation| {
            allocation.status == AllocationStatus::Active && allocation.turns == 2
        };
        self.until(allocation_id, is_over).await;
        // Longer than the deadline of a turn, and than the wait between two looks at the wallet.
        self.harness.run_for(1_000).await;
        self.mend().await;
        self.ask_for_release(allocation_id).await;
    }

    /// Goes on until the rental is so; whatever is stuck on the way is mended.
    async fn until(&mut self, allocation_id: AllocationId, so: impl Fn(&Allocation) -> bool) {
        for _ in 0..100 {
            if so(&self.allocation(allocation_id).await) {
                return;
            }
            self.harness.run_for(100).await;
            self.mend().await;
        }
        panic!("{:?}: {:?}", self.cell, self.allocation(allocation_id).await);
    }

    pub(super) async fn hold_for_nothing(&mut self) {
        self.top_up().await.unwrap();
        let now = self.harness.clock_now();
        let hold_id = HoldId::from_bits(self.harness.commands.ids.next());
        let place = WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: "nothing".to_owned(),
            project_id: None,
            amount_nanos: usd(5).nanos,
            expires_at: now.plus_secs(300),
            at: now,
        });
        let wallet_id = wallet_id(self.organisation_id, Currency::USD);
        let (executor, context) = (self.harness.commands.executor.clone(), self.harness.context());
        executor.execute::<Wallet>(&wallet_id, place, &context, Value::Null).await.unwrap();
        assert_eq!(self.wallet().await.held_nanos, usd(5).nanos);
        self.pursue("expire_hold", &hold_id.to_string()).await;
        let wallet = self.wallet().await;
        let held = (wallet.held_nanos, wallet.posted_nanos);
        assert_eq!(held, (0, usd(20).nanos), "{:?}", self.cell);
    }

    pub(super) async fn give_for_nothing(&mut self) {
        let now = self.harness.clock_now();
        let credit_id = CreditId::from_bits(self.harness.commands.ids.next());
        let grant = WalletCommand::GrantCredit(GrantCredit {
            organisation_id: self.organisation_id,
            currency: Currency::USD,
            credit_id,
            amount_nanos: usd(5).nanos,
            expires_at: now.plus_secs(300),
            reason: "welcome".to_owned(),
            at: now,
        });
        let wallet_id = wallet_id(self.organisation_id, Currency::USD);
        let (executor, context) = (self.harness.commands.executor.clone(), self.harness.context());
        executor.execute::<Wallet>(&wallet_id, grant, &context, Value::Null).await.unwrap();
        assert_eq!(self.wallet().await.available_nanos(), usd(5).nanos);
        self.pursue("expire_credit", &wallet_id).await;
        assert_eq!(self.wallet().await.available_nanos(), 0, "{:?}", self.cell);
    }
}
