//! What commands, process managers and effects need of the outside, as traits. Adapters in `infra/` implement them.
pub mod error;
pub mod mail;
pub mod node;
pub mod papers;
pub mod payments;
pub mod personal;
pub mod system;
pub mod topic;
pub mod webhooks;

pub use error::{FailureKind, PortError};
pub use mail::{Attachment, Mail, MailPort, NoMail};
pub use node::{
    HeldThere, IntentKey, Inventory, NodeDirectory, NodePort, NodeTarget, ProbeReport, StepReport,
    TeardownReport, Tenant,
};
pub use papers::PaperPort;
pub use payments::{
    NewPayment, NewRefund, NewSetup, PaymentPort, ProviderBalance, ProviderDispute,
    ProviderDisputeLine, ProviderDisputeStanding, ProviderFee, ProviderItems, ProviderOutcome,
    ProviderPayment, ProviderPayout, ProviderRefund, ProviderSetup, ProviderTransaction,
    SetupOutcome,
};
pub use personal::{Opened, PersonalPort, SubjectKey};
pub use system::{Clock, IdSource};
pub use topic::{BrokerHealth, Producer, Sent, TopicPort};
pub use webhooks::{WebhookAnswer, WebhookCall, WebhookPort};
