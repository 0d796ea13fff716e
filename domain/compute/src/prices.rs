//! What a rental costs: the price that it keeps, and those it was moved from.
use cairn_core::{MoneyError, Nanos, Tax, TaxRate, Timestamp};
use serde::{Deserialize, Serialize};

use crate::allocation::{Allocation, AllocationError, AllocationStatus as Status};
use crate::decisions::Decision;
use crate::events::{AllocationEvent, PinnedPrice};

/// What was metered until a rental was moved to another price. Both count from its activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Segment {
    pub price: PinnedPrice,
    pub tax: Option<Tax>,
    pub seconds: i64,
    pub total_nanos: Nanos,
    /// What it was sold as, where that is another SKU than the one after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku_id: Option<String>,
}

/// All that was to be charged by the end of a segment, the price that it was at, and the tax that is owed by us out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Due {
    pub price: PinnedPrice,
    pub seconds: i64,
    pub total_nanos: Nanos,
    pub tax: Option<TaxRate>,
}

impl Allocation {
    /// All that it has cost by what is metered: each segment at its own price, rounded once.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn total_nanos(&self) -> Result<Nanos, MoneyError> {
        self.total_at(self.metered_seconds())
    }

    /// The same at so many metered seconds, all that are before this price among them.
    fn total_at(&self, seconds: i64) -> Result<Nanos, MoneyError> {
        let (before, total_nanos) = self.before_this_price();
        let price = self.price.map(|price| price.tariff().total(seconds - before));
        total_nanos.checked_add(price.transpose()?.unwrap_or(0)).ok_or(MoneyError::TooLarge)
    }

    /// The least metered seconds at the price of now that come to a total: of those that it has now, or had before it was corrected.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn seconds_for(&self, total_nanos: Nanos) -> Result<i64, MoneyError> {
        let (mut least, _) = self.before_this_price();
        let mut most = self.metered_seconds() + self.corrected_seconds;
        while least < most {
            let middle = least + (most - least) / 2;
            if self.total_at(middle)? < total_nanos {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        Ok(least)
    }

    /// What was due while it had more seconds at the price of now: a correction comes down from there in more than one entry.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn due_at(&self, seconds: i64) -> Result<Option<Due>, MoneyError> {
        let known = self.price.filter(|_| seconds > self.metered_seconds());
        let due = |price| {
            let tax = self.tax.as_ref().and_then(Tax::due);
            self.total_at(seconds).map(|total_nanos| Due { price, seconds, total_nanos, tax })
        };
        known.map(due).transpose()
    }

    /// Seconds that are metered at the price of now: they say which of its tiers is in force.
    #[must_use]
    pub fn seconds_at_this_price(&self) -> i64 {
        self.metered_seconds() - self.before_this_price().0
    }

    /// What so many seconds more will cost, at the tiers that they are in. None before it has a price.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn ahead_nanos(&self, seconds: i64) -> Result<Option<Nanos>, MoneyError> {
        let used = self.seconds_at_this_price();
        self.price.map(|price| price.tariff().ahead(used, seconds)).transpose()
    }

    /// What is to be charged, segment by segment: each ends with one entry, and the last with what is metered now. None before it has a price.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn dues(&self) -> Result<Vec<Due>, MoneyError> {
        let due = |price, tax: &Option<Tax>, (seconds, total_nanos)| {
            let tax = tax.as_ref().and_then(Tax::due);
            Due { price, seconds, total_nanos, tax }
        };
        let closed = |it: &Segment| due(it.price, &it.tax, (it.seconds, it.total_nanos));
        let mut dues: Vec<_> = self.segments.iter().map(closed).collect();
        let now = (self.metered_seconds(), self.total_nanos()?);
        dues.extend(self.price.map(|price| due(price, &self.tax, now)));
        Ok(dues)
    }

    fn before_this_price(&self) -> (i64, Nanos) {
        self.segments.last().map_or((0, 0), |last| (last.seconds, last.total_nanos))
    }

    pub(crate) fn reprice(&self, price: PinnedPrice, tax: Option<Tax>, at: Timestamp) -> Decision {
        if self.price == Some(price) && self.tax == tax {
            return Ok(vec![]);
        }
        if self.price.is_some_and(|mine| mine.currency != price.currency) {
            return Err(AllocationError::OtherCurrency);
        }
        let total_nanos = self.total_nanos().map_err(|_| AllocationError::TooLarge)?;
        let seconds = self.metered_seconds();
        let moved = AllocationEvent::Repriced { price, tax, seconds, total_nanos, at };
        self.step(&[Status::Active, Status::Suspended], &[], moved)
    }

    pub(crate) fn move_to(
        &mut self,
        price: PinnedPrice,
        tax: Option<Tax>,
        (seconds, total_nanos): (i64, Nanos),
    ) {
        let tax = std::mem::replace(&mut self.tax, tax);
        if let Some(price) = self.price.replace(price) {
            self.segments.push(Segment { price, tax, seconds, total_nanos, sku_id: None });
            self.gaps.clear();
        }
    }
}
