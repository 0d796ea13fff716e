//! Holds: setting money aside, giving it back, and letting it go when its time is over.
use cairn_core::money::format_nanos;
use cairn_core::{BookEntry, HoldChange, HoldId, Nanos, Timestamp, chart};

use crate::events::WalletEvent;
use crate::wallet::{Hold, HoldStatus, Share, Wallet, insufficient};
use crate::wishes::{PlaceHold, WalletError};

/// What a fact adds to a hold: in all, and of it promotional credit.
#[derive(Clone, Copy)]
pub(crate) enum HoldMove {
    Reserved(Nanos, Nanos),
    Captured(Nanos, Nanos),
    Released(Nanos, Nanos),
}

impl Hold {
    /// A hold that has just been placed.
    pub(crate) const fn new(
        purpose: String,
        (reserved_nanos, promotional_nanos): (Nanos, Nanos),
        expires_at: Timestamp,
    ) -> Self {
        let (captured_nanos, released_nanos) = (0, 0);
        Self {
            purpose,
            reserved_nanos,
            captured_nanos,
            released_nanos,
            promotional: Share {
                reserved_nanos: promotional_nanos,
                captured_nanos,
                released_nanos,
            },
            overrun_nanos: 0,
            corrected_nanos: 0,
            paid_by: vec![],
            taxed: None,
            project_id: None,
            charged_at: None,
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

    pub(crate) fn add_hold(
        &mut self,
        hold_id: HoldId,
        purpose: String,
        (amount_nanos, promotional_nanos): (Nanos, Nanos),
        expires_at: Timestamp,
    ) {
        let hold = Hold::new(purpose, (amount_nanos, promotional_nanos), expires_at);
        self.holds.insert(hold_id.to_string(), hold);
        self.set_aside(amount_nanos, promotional_nanos);
    }

    pub(crate) fn fill_hold(
        &mut self,
        hold_id: HoldId,
        (amount_nanos, promotional_nanos): (Nanos, Nanos),
        expires_at: Timestamp,
    ) {
        self.set_aside(amount_nanos, promotional_nanos);
        self.with_hold(hold_id, |hold| {
            hold.reserved_nanos += amount_nanos;
            hold.promotional.reserved_nanos += promotional_nanos;
            hold.expires_at = expires_at;
            hold.status = HoldStatus::Open;
            hold.refused_nanos = None;
        });
    }

    pub(crate) fn refuse_hold(&mut self, hold_id: HoldId, refused_nanos: (Nanos, Nanos)) {
        self.with_hold(hold_id, |hold| hold.refused_nanos = Some(refused_nanos));
    }

    pub(crate) fn close_hold(
        &mut self,
        hold_id: HoldId,
        (released_nanos, promotional_nanos): (Nanos, Nanos),
        status: HoldStatus,
    ) {
        self.set_aside(-released_nanos, -promotional_nanos);
        self.with_hold(hold_id, |hold| {
            hold.released_nanos += released_nanos;
            hold.promotional.released_nanos += promotional_nanos;
            hold.status = status;
        });
    }

    /// The changes that one fact makes to a hold's rows, one for each account that it has something set aside on. Accounts and expiry come from
    /// the state after it.
    pub(crate) fn hold_entry(&self, hold_id: HoldId, moved: HoldMove) -> BookEntry {
        let Some(((organisation_id, currency), hold)) = self.owner.zip(self.hold(hold_id).ok())
        else {
            return BookEntry::default();
        };
        let change = |account, (reserved_nanos, captured_nanos, released_nanos)| HoldChange {
            hold_id,
            account,
            currency,
            reserved_nanos,
            captured_nanos,
            released_nanos,
            expires_at: hold.expires_at,
        };
        let (paid, promotional) = match moved {
            HoldMove::Reserved(all, part) => ((all - part, 0, 0), (part, 0, 0)),
            HoldMove::Captured(all, part) => ((0, all - part, 0), (0, part, 0)),
            HoldMove::Released(all, part) => ((0, 0, all - part), (0, 0, part)),
        };
        let has_credit = hold.promotional.reserved_nanos > 0;
        let has_paid = !has_credit || hold.reserved_nanos > hold.promotional.reserved_nanos;
        BookEntry {
            hold: has_paid.then(|| change(chart::wallet_paid(organisation_id, currency), paid)),
            promotional_hold: has_credit
                .then(|| change(chart::wallet_promo(organisation_id, currency), promotional)),
            ..BookEntry::default()
        }
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
            .filter_map(|(id, hold)| Some((id.parse().ok()?, hold)))
            .filter(|(hold_id, _)| Some(*hold_id) != except)
            .map(|(hold_id, hold)| WalletEvent::HoldExpired {
                hold_id,
                amount_nanos: hold.remaining_nanos(),
                promotional_nanos: hold.promotional.remaining_nanos(),
            })
            .collect()
    }

    /// The state and the events after sweeping, so that neither an expired hold stands in the way nor expired credit pays.
    pub(crate) fn swept(&self, at: Timestamp, except: Option<HoldId>) -> (Self, Vec<WalletEvent>) {
        self.lapsed(at, self.expire(at, except))
    }

    /// How much of an amount to be set aside is promotional credit: as much as there is.
    pub(crate) fn promotional_part(&self, amount_nanos: Nanos) -> Nanos {
        amount_nanos.min(self.promotional.available_nanos())
    }

    pub(crate) fn place_hold(&self, place: PlaceHold) -> Result<Vec<WalletEvent>, WalletError> {
        let PlaceHold { hold_id, purpose, project_id, amount_nanos, expires_at, at } = place;
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        if let Ok(hold) = self.hold(hold_id) {
            return if hold.purpose == purpose { Ok(vec![]) } else { Err(WalletError::IdReused) };
        }
        let (wallet, mut events) = self.swept(at, None);
        if wallet.available_nanos() < amount_nanos {
            return Err(insufficient(wallet.available_nanos(), amount_nanos));
        }
        if let Some(room_nanos) = wallet.room_at(at).filter(|room_nanos| *room_nanos < amount_nanos)
        {
            let (room, wanted) = (format_nanos(room_nanos), format_nanos(amount_nanos));
            return Err(WalletError::SpendingLimitReached { room, wanted });
        }
        wallet.fits_in(project_id, amount_nanos, at)?;
        let promotional_nanos = wallet.promotional_part(amount_nanos);
        events.push(WalletEvent::HoldPlaced {
            hold_id,
            purpose,
            amount_nanos,
            promotional_nanos,
            expires_at,
        });
        let assigned = |project_id| WalletEvent::HoldAssigned { hold_id, project_id };
        events.extend(project_id.map(assigned));
        Ok(events)
    }

    pub(crate) fn release_hold(
        &self,
        hold_id: HoldId,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let hold = self.hold(hold_id)?;
        let amount_nanos = hold.remaining_nanos();
        let promotional_nanos = hold.promotional.remaining_nanos();
        match hold.status {
            HoldStatus::Released => Ok(vec![]),
            HoldStatus::Open | HoldStatus::Expired => {
                let released =
                    WalletEvent::HoldReleased { hold_id, amount_nanos, promotional_nanos };
                Ok(self.lapsed(at, vec![released]).1)
            }
        }
    }
}
