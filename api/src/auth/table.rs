//! Who may do what: one table, read by one guard in front of every route. An operation that is not in the table is refused.
use cairn_identity::Role;

/// How far a role sees within an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Not at all.
    None,
    /// What belongs to the caller's organisation.
    Own,
    /// Everything.
    All,
}

/// One row: what each role may do of one operation of the OpenAPI document.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `operationId`.
    pub operation: &'static str,
    owner: Scope,
    viewer: Scope,
    operator: Scope,
    finance: Scope,
}

impl Rule {
    /// How far a role sees.
    #[must_use]
    pub const fn scope(&self, role: Role) -> Scope {
        match role {
            Role::Owner => self.owner,
            Role::Viewer => self.viewer,
            Role::Operator => self.operator,
            Role::Finance => self.finance,
        }
    }
}

macro_rules! rules {
    ($($operation:ident $owner:ident $viewer:ident $operator:ident $finance:ident;)+) => {
        /// The table: operation, then owner, viewer, operator, finance.
        pub const RULES: &[Rule] = &[$(Rule {
            operation: stringify!($operation),
            owner: Scope::$owner,
            viewer: Scope::$viewer,
            operator: Scope::$operator,
            finance: Scope::$finance,
        },)+];
    };
}

rules! {
    create_top_up          Own  None None None;
    list_top_ups           Own  Own  None All;
    get_top_up             Own  Own  None All;
    get_top_up_secret      Own  None None None;
    create_refund          Own  None None None;
    list_refunds           Own  Own  None All;
    get_refund             Own  Own  None All;
    get_balance            Own  Own  None All;
    get_statement          Own  Own  None All;
    list_skus              All  All  All  All;
    get_sku                All  All  All  All;
    define_sku             None None All  None;
    set_sku_price          None None All  None;
    retire_sku             None None All  None;
    invite_node            None None All  None;
    list_nodes             None None All  None;
    get_node               None None All  None;
    cordon_node            None None All  None;
    uncordon_node          None None All  None;
    drain_node             None None All  None;
    retire_node            None None All  None;
    request_allocation     Own  None None None;
    list_allocations       Own  Own  All  None;
    get_allocation         Own  Own  All  None;
    release_allocation     Own  None All  None;
    get_allocation_steps   Own  Own  All  None;
    create_webhook_endpoint  Own  None None None;
    list_webhook_endpoints   Own  Own  All  None;
    get_webhook_endpoint     Own  Own  All  None;
    update_webhook_endpoint  Own  None None None;
    rotate_webhook_secret    Own  None None None;
    test_webhook_endpoint    Own  None All  None;
    disable_webhook_endpoint Own  None All  None;
    enable_webhook_endpoint  Own  None All  None;
    delete_webhook_endpoint  Own  None None None;
    list_webhook_deliveries  Own  Own  All  None;
    get_webhook_delivery     Own  Own  All  None;
    resend_webhook_delivery  Own  None All  None;
    get_command            Own  Own  Own  Own;
    get_whoami             Own  Own  Own  Own;
}

/// Operations that need no API key, each with what guards it instead.
pub const PUBLIC: &[(&str, &str)] = &[
    ("enrol_node", "the one-time token in the body"),
    ("receive_stripe_webhook", "Stripe's signature over the raw body"),
    ("get_liveness", "says only that the process runs"),
    ("get_readiness", "names parts, no data"),
    ("get_metrics", "counts without tenants"),
    ("get_openapi", "this document"),
    ("get_error_page", "documentation"),
];

/// The row of an operation.
#[must_use]
pub fn rule(operation: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.operation == operation)
}

/// Whether an operation needs no API key.
#[must_use]
pub fn is_public(operation: &str) -> bool {
    PUBLIC.iter().any(|(name, _)| *name == operation)
}
