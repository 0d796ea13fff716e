//! The shared kernel: what every context of the domain is written in.
//!
//! Pure: no runtime, no database, no clock, no randomness, no environment.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod books;
pub mod chart;
pub mod decider;
pub mod id;
pub mod money;
pub mod month;
pub mod personal;
pub mod resources;
pub mod tariff;
pub mod tax;
pub mod testing;
pub mod texts;
pub mod time;
pub mod upcast;
mod wire;

pub use books::{BookEntry, HoldChange, JournalTransaction, PeriodChange, Posting};
pub use cqrs_es::DomainEvent;
pub use decider::{Decider, Refusal};
pub use id::{
    AllocationId, ApiKeyId, BreakId, CreditId, DiscountId, DisputeId, GrantId, HoldId, IdError,
    InvitationId, NodeId, OrganisationId, PaymentId, PaymentMethodId, PayoutId, ProjectId,
    RefundId, ServiceAccountId, SessionId, UserId, WebhookEndpointId,
};
pub use money::{Currency, Money, MoneyError, Nanos};
pub use month::{Month, MonthError};
pub use personal::Subject;
pub use resources::Resources;
pub use tariff::{Burn, Tariff, Tier, Tiers, TiersError};
pub use tax::{Tax, TaxRate, TaxTreatment};
pub use texts::{Text, Texts};
pub use time::Timestamp;
pub use upcast::StoredEvent;

#[doc(hidden)]
pub use cqrs_es;
