//! Going on as another SKU, or with more disk: what is stopped is resumed in its new size, at the price that was seen when it was asked for.
use cairn_core::{Nanos, Resources, Tariff, Tax, Timestamp};
use serde::{Deserialize, Serialize};

use crate::allocation::{
    Allocation, AllocationCommand as Command, AllocationError as Error, AllocationStatus as Status,
};
use crate::decisions::Decision;
use crate::events::{AllocationEvent as Event, PinnedPrice, SuspensionReason};

/// What a rental is sold as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Size {
    pub sku_id: String,
    pub resources: Resources,
    pub price: PinnedPrice,
    pub tax: Option<Tax>,
}

/// A change of size that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Resize {
    /// Its node is asked for the capacity.
    Requested(Size),
    /// The capacity is there: the next time that it is resumed, it is that.
    Reserved(Size),
    /// Done, or given up: the node may have more set aside than is needed.
    Settling,
}

impl Resize {
    pub(crate) fn reserved(self) -> Self {
        match self {
            Self::Requested(size) => Self::Reserved(size),
            Self::Reserved(_) | Self::Settling => self,
        }
    }

    /// What it shall become; none when that is decided.
    #[must_use]
    pub const fn size(&self) -> Option<&Size> {
        match self {
            Self::Requested(size) | Self::Reserved(size) => Some(size),
            Self::Settling => None,
        }
    }
}

impl Allocation {
    /// GiB that it has beside the disk of its SKU.
    #[must_use]
    pub fn additional_disk_gib(&self) -> u32 {
        self.price.and_then(|price| price.disk).map_or(0, |disk| disk.gib)
    }

    /// What it will be when it is resumed next, if that is another size.
    #[must_use]
    pub const fn next_size(&self) -> Option<&Size> {
        match &self.resize {
            Some(Resize::Reserved(size)) => Some(size),
            Some(Resize::Requested(_) | Resize::Settling) | None => None,
        }
    }

    /// What its node is to give it: while it is resumed that of its next size.
    #[must_use]
    pub fn wanted_resources(&self) -> Resources {
        let resumed = self.next_size().filter(|_| self.status == Status::Resuming);
        resumed.map_or(self.resources, |size| size.resources)
    }

    /// What its time costs when it is resumed next, and how many seconds of that are used. None before it has a price.
    #[must_use]
    pub fn next_tariff(&self) -> Option<(Tariff, i64)> {
        match self.next_size() {
            Some(size) => Some((size.price.tariff(), 0)),
            None => self.price.map(|price| (price.tariff(), self.seconds_at_this_price())),
        }
    }

    pub(crate) fn fail_resize(&self, code: String, message: String, at: Timestamp) -> Vec<Event> {
        let undecided = self.resize.as_ref().is_some_and(|resize| resize.size().is_some());
        let failed = undecided.then_some(Event::ResizeFailed { code, message, at });
        failed.into_iter().collect()
    }

    pub(crate) fn settle_resize(&self, at: Timestamp) -> Vec<Event> {
        let settling = self.resize == Some(Resize::Settling);
        settling.then_some(Event::ResizeSettled { at }).into_iter().collect()
    }

    pub(crate) fn request_resize(&self, size: Size, at: Timestamp) -> Decision {
        if self.resize.as_ref().and_then(Resize::size) == Some(&size) {
            return Ok(vec![]);
        }
        if self.resize.is_some() {
            return Err(Error::ResizeUnderWay);
        }
        if self.status != Status::Active {
            return Err(self.wrong());
        }
        let gib = size.price.disk.map_or(0, |disk| disk.gib);
        if self.sku_id == size.sku_id && self.additional_disk_gib() == gib {
            return Err(Error::ResizeUnchanged);
        }
        if self.price.is_some_and(|mine| mine.currency != size.price.currency) {
            return Err(Error::OtherCurrency);
        }
        let (has, wanted) = (self.resources.disk_bytes, size.resources.disk_bytes);
        if wanted < has {
            return Err(Error::DiskShrinks { has, wanted });
        }
        let Size { sku_id, resources, price, tax } = size;
        Ok(vec![Event::ResizeRequested { sku_id, resources, price, tax, at }])
    }

    /// Not while it is being resumed: its node may be giving it the size of before just now.
    pub(crate) fn start_resize(&self, at: Timestamp) -> Decision {
        let Some(Resize::Requested(_)) = self.resize else { return Ok(vec![]) };
        let reserved = Event::ResizeReserved { at };
        let reason = SuspensionReason::Resize;
        let stop = self.decide_suspension(Command::RequestSuspension { reason, at })?;
        Ok([reserved].into_iter().chain(stop).collect())
    }

    /// The resize that comes with being resumed, if one does.
    pub(crate) fn resized(&self, at: Timestamp) -> Decision {
        let Some(Size { sku_id, resources, price, tax }) = self.next_size().cloned() else {
            return Ok(vec![]);
        };
        let total_nanos = self.total_nanos().map_err(|_| Error::TooLarge)?;
        let seconds = self.metered_seconds();
        Ok(vec![Event::Resized { sku_id, resources, price, tax, seconds, total_nanos, at }])
    }

    /// What the node was asked for in this turn is not what it is asked for from now on.
    pub(crate) fn keep_size(&mut self) {
        self.resize = Some(Resize::Settling);
        if matches!(self.status, Status::Resuming) {
            self.turns += 1;
        }
    }

    pub(crate) fn grow_into(
        &mut self,
        (sku_id, resources): (String, Resources),
        (price, tax): (PinnedPrice, Option<Tax>),
        metered: (i64, Nanos),
    ) {
        let before = std::mem::replace(&mut self.sku_id, sku_id);
        let another = (before != self.sku_id).then_some(before);
        self.resources = resources;
        self.move_to(price, tax, metered);
        if let Some(segment) = self.segments.last_mut() {
            segment.sku_id = another;
        }
        self.resize = Some(Resize::Settling);
    }
}
