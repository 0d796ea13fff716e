//! What time costs: an exact price of 3,600 seconds, in tiers by how long it has been used, less a discount; and what comes on top in all of
//! them, such as additional disk, which no discount is off.
//!
//! A total is piecewise linear in the seconds and rounded half to even once. Charge the difference of two cumulative totals, never a rounded
//! slice: then every partition of an interval charges the same (requirement M5).
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::money::{MoneyError, Nanos, half_even};

/// Tiers that a price has at most, the first one included.
pub const TIERS_MAX: usize = 10;
/// A whole in basis points, of which a discount takes some.
pub const WHOLE_BPS: u32 = 10_000;

const LATER_MAX: usize = TIERS_MAX - 1;
const SECONDS_PER_RATE: i128 = 3_600;
/// Exact amounts are counted in so many parts of a nano.
const PARTS: i128 = SECONDS_PER_RATE * WHOLE_BPS as i128;
/// A century: what lasts longer has no day on which it ends.
const LONGEST_SECS: i64 = 100 * 365 * 86_400;

/// From so many seconds of use on, 3,600 seconds cost so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tier {
    /// Seconds that were used before it begins.
    pub from_seconds: i64,
    /// Exact price of 3,600 seconds.
    pub nanos_per_hour: Nanos,
}

/// The tiers after the first one, in their order. None where all time costs the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tiers {
    /// What is not used is as it was made, so that equal tiers are equal.
    tiers: [Tier; LATER_MAX],
    count: u8,
}

/// Why tiers are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TiersError {
    /// More than can be.
    #[error("a price has at most {TIERS_MAX} tiers")]
    TooMany,
    /// The first one does not begin with the first second.
    #[error("the first tier begins at 0 seconds")]
    Late,
    /// The one with this number, counted from 0, does not begin after the one before.
    #[error("each tier begins later than the one before")]
    Unsorted(usize),
}

impl Tiers {
    /// All time costs the same.
    pub const NONE: Self =
        Self { tiers: [Tier { from_seconds: 0, nanos_per_hour: 0 }; LATER_MAX], count: 0 };

    /// The price of the first hour and the tiers after the first, out of all tiers.
    ///
    /// # Errors
    /// [`TiersError`]: the first thing that is wrong.
    pub fn split(all: &[Tier]) -> Result<(Nanos, Self), TiersError> {
        let (first, later) = all.split_first().ok_or(TiersError::Late)?;
        if first.from_seconds != 0 {
            return Err(TiersError::Late);
        }
        Ok((first.nanos_per_hour, Self::try_new(later)?))
    }

    /// Those after the first one.
    ///
    /// # Errors
    /// [`TiersError`].
    pub fn try_new(later: &[Tier]) -> Result<Self, TiersError> {
        let mut made = Self::NONE;
        let room = made.tiers.get_mut(..later.len()).ok_or(TiersError::TooMany)?;
        room.copy_from_slice(later);
        made.count = u8::try_from(later.len()).map_err(|_| TiersError::TooMany)?;
        let mut before = 0;
        for (number, tier) in later.iter().enumerate() {
            if tier.from_seconds <= before {
                return Err(TiersError::Unsorted(number + 1));
            }
            before = tier.from_seconds;
        }
        Ok(made)
    }

    /// Those after the first one.
    #[must_use]
    pub fn later(&self) -> &[Tier] {
        &self.tiers[..usize::from(self.count)]
    }

    /// Whether all time costs the same.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.count == 0
    }

    /// What is left of a price and its tiers when so many seconds are used: it goes on where it was, counted from 0 again.
    #[must_use]
    pub fn after(&self, first: Nanos, seconds: i64) -> (Nanos, Self) {
        let (mut now, mut left) = (first, Self::NONE);
        for tier in self.later() {
            if tier.from_seconds <= seconds {
                now = tier.nanos_per_hour;
            } else {
                let from_seconds = tier.from_seconds - seconds.max(0);
                left.tiers[usize::from(left.count)] = Tier { from_seconds, ..*tier };
                left.count += 1;
            }
        }
        (now, left)
    }

    /// The same tiers at other prices.
    ///
    /// # Errors
    /// What `price` fails with.
    pub fn try_map<E>(mut self, price: impl Fn(Nanos) -> Result<Nanos, E>) -> Result<Self, E> {
        for tier in &mut self.tiers[..usize::from(self.count)] {
            tier.nanos_per_hour = price(tier.nanos_per_hour)?;
        }
        Ok(self)
    }
}

impl Serialize for Tiers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.later().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let later = Vec::<Tier>::deserialize(deserializer)?;
        Self::try_new(&later).map_err(de::Error::custom)
    }
}

/// What time costs, by how much of it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// Exact price of 3,600 seconds in the first tier.
    pub nanos_per_hour: Nanos,
    /// The tiers after it.
    pub tiers: Tiers,
    /// Off it in all tiers, in basis points.
    pub discount_bps: u32,
    /// What 3,600 seconds cost on top, in every tier alike and with no discount off it.
    pub extra_nanos_per_hour: Nanos,
}

impl Tariff {
    /// All time costs the same.
    #[must_use]
    pub const fn flat(nanos_per_hour: Nanos) -> Self {
        Self { nanos_per_hour, tiers: Tiers::NONE, discount_bps: 0, extra_nanos_per_hour: 0 }
    }

    /// Every tier, the first one first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = Tier> {
        let first = Tier { from_seconds: 0, nanos_per_hour: self.nanos_per_hour };
        [first].into_iter().chain(self.tiers.later().iter().copied())
    }

    /// What `seconds` cost in all, rounded half to even once.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] when the total does not fit.
    pub fn total(&self, seconds: i64) -> Result<Nanos, MoneyError> {
        Nanos::try_from(half_even(self.exact(seconds), PARTS)).map_err(|_| MoneyError::TooLarge)
    }

    /// What so many seconds more cost when `from` were used.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn ahead(&self, from: i64, seconds: i64) -> Result<Nanos, MoneyError> {
        Ok(self.total(from.saturating_add(seconds))? - self.total(from)?)
    }

    /// The most that so many seconds can cost, wherever they are.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn dearest(&self, seconds: i64) -> Result<Nanos, MoneyError> {
        let dearest = self.all().map(|tier| tier.nanos_per_hour).max().unwrap_or_default();
        Self { nanos_per_hour: dearest, tiers: Tiers::NONE, ..*self }.total(seconds)
    }

    /// The tier that the next second is in when so many were used.
    #[must_use]
    pub fn tier_at(&self, seconds: i64) -> Tier {
        let begun = |tier: &Tier| tier.from_seconds <= seconds.max(0);
        self.all().rev().find(begun).unwrap_or_default()
    }

    /// What the tier after so many seconds costs in an hour, less the discount, with what comes on top.
    #[must_use]
    pub fn per_hour_at(&self, seconds: i64) -> Nanos {
        let net = self.net(self.tier_at(seconds).nanos_per_hour);
        net.saturating_add(self.extra_nanos_per_hour)
    }

    /// The same without the discount.
    #[must_use]
    pub fn list_per_hour_at(&self, seconds: i64) -> Nanos {
        self.tier_at(seconds).nanos_per_hour.saturating_add(self.extra_nanos_per_hour)
    }

    /// An amount less the discount, rounded half to even.
    #[must_use]
    pub fn net(&self, list_nanos: Nanos) -> Nanos {
        let net = half_even(i128::from(list_nanos) * self.weight(), i128::from(WHOLE_BPS));
        Nanos::try_from(net).unwrap_or(Nanos::MAX)
    }

    /// Whether all time costs the same, and no discount is given. What comes on top is no matter.
    #[must_use]
    pub const fn is_flat(&self) -> bool {
        self.tiers.is_none() && self.discount_bps == 0
    }

    fn weight(&self) -> i128 {
        i128::from(WHOLE_BPS.saturating_sub(self.discount_bps))
    }

    /// In [`PARTS`] of a nano.
    fn exact(&self, seconds: i64) -> i128 {
        let (mut list, mut until) = (0_i128, seconds.max(0));
        for tier in self.all().rev() {
            let within = (until - tier.from_seconds).max(0);
            list += i128::from(tier.nanos_per_hour) * i128::from(within);
            until = until.min(tier.from_seconds);
        }
        let extra = i128::from(self.extra_nanos_per_hour) * i128::from(seconds.max(0));
        let net = list.saturating_mul(self.weight());
        net.saturating_add(extra.saturating_mul(i128::from(WHOLE_BPS)))
    }
}

/// Everything that costs something at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Burn {
    /// Tariffs, with the seconds that were used at each.
    used: Vec<(Tariff, i64)>,
}

impl Burn {
    /// One thing more, of which so many seconds were used.
    pub fn add(&mut self, tariff: Tariff, seconds: i64) {
        self.used.push((tariff, seconds));
    }

    /// Everything of another is used, too.
    pub fn join(&mut self, other: &Self) {
        self.used.extend_from_slice(&other.used);
    }

    /// What the next hour costs at the tiers in force.
    #[must_use]
    pub fn nanos_per_hour(&self) -> Nanos {
        let each = self.used.iter().map(|(tariff, seconds)| tariff.per_hour_at(*seconds));
        each.fold(0, Nanos::saturating_add)
    }

    /// Whether everything goes on at the price of now.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.used.iter().all(|(tariff, _)| tariff.is_flat())
    }

    /// What so many seconds more cost, towards zero.
    #[must_use]
    pub fn cost(&self, seconds: i64) -> Nanos {
        Nanos::try_from(self.exact(seconds) / PARTS).unwrap_or(Nanos::MAX)
    }

    /// Seconds until an amount is spent; none when nothing is spent, or it lasts longer than can be counted.
    #[must_use]
    pub fn lasts(&self, funds_nanos: Nanos) -> Option<i64> {
        let funds = i128::from(funds_nanos.max(0)) * PARTS;
        let (mut enough, mut too_long) = (0, LONGEST_SECS);
        if self.exact(too_long) <= funds {
            return None;
        }
        while too_long - enough > 1 {
            let middle = enough + (too_long - enough) / 2;
            if self.exact(middle) <= funds {
                enough = middle;
            } else {
                too_long = middle;
            }
        }
        Some(enough)
    }

    fn exact(&self, seconds: i64) -> i128 {
        let more = |(tariff, from): &(Tariff, i64)| {
            tariff.exact(from.saturating_add(seconds)).saturating_sub(tariff.exact(*from))
        };
        self.used.iter().map(more).fold(0, i128::saturating_add)
    }
}
