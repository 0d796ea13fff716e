//! Holds: setting money aside, giving it back, and letting it go when its time is over.
use cairn_core::{Decider, HoldChange, HoldId, Nanos, Timestamp, chart};

use crate::wallet::{Hold, HoldStatus, PlaceHold, Wallet, WalletError, WalletEvent};

/// What a fact adds to a hold.
pub(crate) enum HoldMove {
    Reserved(Nanos),
    Captured(Nanos),
    Released(Nanos),
}

impl Hold {
    /// A hold that has just been placed.
    pub(crate) const fn new(purpose: String, reserved_nanos: Nanos, expires_at: Timestamp) -> Self {
        Self {
            purpose,
            reserved_nanos,
            captured_nanos: 0,
            released_nanos: 0,
            overrun_nanos: 0,
            expires_at,
            status: HoldStatus::Open,
            refused_nanos: None,
        }
    }
}

impl Wallet {
    pub(crate) fn hold(&self, hold_id: HoldId) -> Result<&Hold, WalletError> {
        self.holds.get(&hold_id.to_string()).ok_or(WalletError::UnknownHold(hold_id))
    }

    pub(crate) fn with_hold(&mut self, hold_id: HoldId, change: impl FnOnce(&mut Hold)) {
        if let Some(hold) = self.holds.get_mut(&hold_id.to_string()) {
            change(hold);
        }
    }

    pub(crate) fn close_hold(
        &mut self,
        hold_id: HoldId,
        released_nanos: Nanos,
        status: HoldStatus,
    ) {
        self.held_nanos -= released_nanos;
        self.with_hold(hold_id, |hold| {
            hold.released_nanos += released_nanos;
            hold.status = status;
        });
    }

    /// The change that one fact makes to a hold's row, whose account and expiry come from the state after it.
    pub(crate) fn hold_change(&self, hold_id: HoldId, moved: HoldMove) -> Option<HoldChange> {
        let (organisation_id, currency) = self.owner?;
        let expires_at = self.hold(hold_id).ok()?.expires_at;
        let (reserved_nanos, captured_nanos, released_nanos) = match moved {
            HoldMove::Reserved(nanos) => (nanos, 0, 0),
            HoldMove::Captured(nanos) => (0, nanos, 0),
            HoldMove::Released(nanos) => (0, 0, nanos),
        };
        let account = chart::wallet_paid(organisation_id, currency);
        Some(HoldChange {
            hold_id,
            account,
            currency,
            reserved_nanos,
            captured_nanos,
            released_nanos,
            expires_at,
        })
    }

    /// Expiries of every open hold whose time is over, except one. A hold out of which usage was charged ends when it is released: more usage
    /// may be owed by the time that it is over.
    pub(crate) fn expire(&self, at: Timestamp, except: Option<HoldId>) -> Vec<WalletEvent> {
        let unused = |hold: &Hold| hold.captured_nanos == 0 && hold.overrun_nanos == 0;
        let expired =
            |hold: &Hold| hold.status == HoldStatus::Open && hold.expires_at <= at && unused(hold);
        self.holds
            .iter()
            .filter(|(_, hold)| expired(hold))
            .filter_map(|(id, hold)| Some((id.parse().ok()?, hold.remaining_nanos())))
            .filter(|(hold_id, _)| Some(*hold_id) != except)
            .map(|(hold_id, amount_nanos)| WalletEvent::HoldExpired { hold_id, amount_nanos })
            .collect()
    }

    /// The state and the events after sweeping, so that expired holds never stand in the way.
    pub(crate) fn swept(&self, at: Timestamp, except: Option<HoldId>) -> (Self, Vec<WalletEvent>) {
        let events = self.expire(at, except);
        (events.iter().cloned().fold(self.clone(), Self::evolve), events)
    }

    pub(crate) fn place_hold(&self, place: PlaceHold) -> Result<Vec<WalletEvent>, WalletError> {
        let PlaceHold { hold_id, purpose, amount_nanos, expires_at, at } = place;
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        if let Ok(hold) = self.hold(hold_id) {
            return if hold.purpose == purpose { Ok(vec![]) } else { Err(WalletError::IdReused) };
        }
        let (wallet, mut events) = self.swept(at, None);
        if wallet.available_nanos() < amount_nanos {
            return Err(wallet.insufficient(amount_nanos));
        }
        events.push(WalletEvent::HoldPlaced { hold_id, purpose, amount_nanos, expires_at });
        Ok(events)
    }

    pub(crate) fn release_hold(&self, hold_id: HoldId) -> Result<Vec<WalletEvent>, WalletError> {
        let hold = self.hold(hold_id)?;
        let amount_nanos = hold.remaining_nanos();
        match hold.status {
            HoldStatus::Released => Ok(vec![]),
            HoldStatus::Open | HoldStatus::Expired => {
                Ok(vec![WalletEvent::HoldReleased { hold_id, amount_nanos }])
            }
        }
    }
}
