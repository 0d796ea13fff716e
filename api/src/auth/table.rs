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

/// How far each role sees in one operation, in the order of [`Role::ALL`].
type Scopes = [Scope; Role::ALL.len()];

/// One row: what each role may do of one operation of the OpenAPI document.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `operationId`.
    pub operation: &'static str,
    scopes: Scopes,
}

impl Rule {
    /// How far a role sees.
    #[must_use]
    pub fn scope(&self, role: Role) -> Scope {
        let at = Role::ALL.iter().position(|known| *known == role);
        at.map_or(Scope::None, |at| self.scopes[at])
    }
}

macro_rules! rules {
    ($($operation:ident $($scope:ident)+;)+) => {
        /// The table: operation, then the roles in the order of [`Role::ALL`].
        pub const RULES: &[Rule] = &[$(Rule {
            operation: stringify!($operation),
            scopes: [$(Scope::$scope),+],
        },)+];
    };
}

rules! {
    //                     own: owner admin finance developer viewer   platform: operator finance support engineer
    create_top_up          Own  Own  Own  None None   None None None None;
    list_top_ups           Own  Own  Own  Own  Own    None All  None None;
    get_top_up             Own  Own  Own  Own  Own    None All  None None;
    get_top_up_secret      Own  Own  Own  None None   None None None None;
    create_payment_method       Own  Own  Own  None None   None None None None;
    list_payment_methods        Own  Own  Own  None None   None None None None;
    get_payment_method          Own  Own  Own  None None   None None None None;
    get_payment_method_secret   Own  Own  Own  None None   None None None None;
    prefer_payment_method       Own  Own  Own  None None   None None None None;
    remove_payment_method       Own  Own  Own  None None   None None None None;
    create_refund          Own  Own  Own  None None   None None None None;
    list_refunds           Own  Own  Own  Own  Own    None All  None None;
    get_refund             Own  Own  Own  Own  Own    None All  None None;
    get_balance            Own  Own  Own  Own  Own    None All  None None;
    get_statement          Own  Own  Own  Own  Own    None All  None None;
    get_charge_proof       Own  Own  Own  Own  Own    None All  None None;
    get_usage              Own  Own  Own  Own  Own    None All  None None;
    list_disputed_usage    None None None None None   All  All  None None;
    list_rejected_usage    None None None None None   All  All  None None;
    get_verification       None None None None None   All  All  None All;
    get_billing_details    Own  None Own  None None   None None None None;
    set_billing_details    Own  None Own  None None   None None None None;
    get_spending_limits    Own  Own  Own  Own  Own    None None None None;
    set_spending_limits    Own  None Own  None None   None None None None;
    get_project_spending_limits Own  Own  Own  Own  Own    None None None None;
    set_project_spending_limits Own  None Own  None None   None None None None;
    get_alerts             Own  Own  Own  Own  Own    None None None None;
    set_alerts             Own  None Own  None None   None None None None;
    get_project_alerts     Own  Own  Own  Own  Own    None None None None;
    set_project_alerts     Own  None Own  None None   None None None None;
    get_auto_top_up        Own  Own  Own  Own  Own    None None None None;
    set_auto_top_up        Own  None Own  None None   None None None None;
    list_invoices          Own  Own  Own  Own  Own    None All  None None;
    get_invoice            Own  Own  Own  Own  Own    None All  None None;
    get_invoice_document   Own  Own  Own  Own  Own    None All  None None;
    list_skus              All  All  All  All  All    All  All  All  All;
    get_sku                All  All  All  All  All    All  All  All  All;
    define_sku             None None None None None   All  None None None;
    set_sku_price          None None None None None   All  None None None;
    set_disk_price         None None None None None   All  None None None;
    retire_sku             None None None None None   All  None None None;
    list_discounts         Own  Own  Own  Own  Own    All  All  None None;
    give_discount          None None None None None   All  None None None;
    withdraw_discount      None None None None None   All  None None None;
    invite_node            None None None None None   All  None None None;
    list_nodes             None None None None None   All  None None All;
    get_node               None None None None None   All  None None All;
    cordon_node            None None None None None   All  None None None;
    uncordon_node          None None None None None   All  None None None;
    drain_node             None None None None None   All  None None None;
    retire_node            None None None None None   All  None None None;
    request_allocation     Own  Own  None Own  None   None None None None;
    list_allocations       Own  Own  Own  Own  Own    All  None None All;
    get_allocation         Own  Own  Own  Own  Own    All  None None All;
    release_allocation     Own  Own  None Own  None   All  None None None;
    reprice_allocation     Own  Own  None Own  None   All  None None None;
    resize_allocation      Own  Own  None Own  None   All  None None None;
    correct_usage          None None None None None   All  All  None None;
    get_allocation_steps   Own  Own  Own  Own  Own    All  None None All;
    create_webhook_endpoint  Own  Own  None Own  None   None None None None;
    list_webhook_endpoints   Own  Own  Own  Own  Own    All  None None All;
    get_webhook_endpoint     Own  Own  Own  Own  Own    All  None None All;
    update_webhook_endpoint  Own  Own  None Own  None   None None None None;
    rotate_webhook_secret    Own  Own  None Own  None   None None None None;
    test_webhook_endpoint    Own  Own  None Own  None   All  None None None;
    disable_webhook_endpoint Own  Own  None Own  None   All  None None None;
    enable_webhook_endpoint  Own  Own  None Own  None   All  None None None;
    delete_webhook_endpoint  Own  Own  None Own  None   None None None None;
    list_webhook_deliveries  Own  Own  Own  Own  Own    All  None None All;
    get_webhook_delivery     Own  Own  Own  Own  Own    All  None None All;
    resend_webhook_delivery  Own  Own  None Own  None   All  None None None;
    get_command            Own  Own  Own  Own  Own    Own  Own  Own  Own;
    get_whoami             Own  Own  Own  Own  Own    Own  Own  Own  Own;
    create_ticket          Own  Own  Own  Own  Own    Own  Own  Own  Own;
    stream_events          Own  Own  Own  Own  Own    Own  Own  Own  Own;
    list_inbox             Own  Own  Own  Own  Own    Own  Own  Own  Own;
    read_inbox_notice      Own  Own  Own  Own  Own    Own  Own  Own  Own;
    read_inbox             Own  Own  Own  Own  Own    Own  Own  Own  Own;
    create_key             Own  Own  None None None   None None None None;
    list_keys              Own  Own  None Own  None   None None None None;
    get_key                Own  Own  None Own  None   None None None None;
    rotate_key             Own  Own  None None None   None None None None;
    revoke_key             Own  Own  None None None   None None None None;
    create_service_account   Own  Own  None None None   None None None None;
    list_service_accounts    Own  Own  None Own  None   None None None None;
    get_service_account      Own  Own  None Own  None   None None None None;
    update_service_account   Own  Own  None None None   None None None None;
    disable_service_account  Own  Own  None None None   None None None None;
    enable_service_account   Own  Own  None None None   None None None None;
    remove_service_account   Own  Own  None None None   None None None None;
    create_project           Own  Own  None Own  None   None None None None;
    list_projects            Own  Own  Own  Own  Own    None None None None;
    get_project              Own  Own  Own  Own  Own    None None None None;
    rename_project           Own  Own  None Own  None   None None None None;
    archive_project          Own  Own  None None None   None None None None;
    get_organisation       Own  Own  Own  Own  Own    None None None None;
    rename_organisation    Own  Own  None None None   None None None None;
    set_second_factor_rule Own  Own  None None None   None None None None;
    list_members           Own  Own  Own  Own  Own    None None None None;
    change_member_role     Own  Own  None None None   None None None None;
    remove_member          Own  Own  None None None   None None None None;
    invite_member          Own  Own  None None None   None None None None;
    list_invitations       Own  Own  None None None   None None None None;
    revoke_invitation      Own  Own  None None None   None None None None;
    grant_support          Own  Own  None None None   None None None None;
    list_support_grants    Own  Own  Own  Own  Own    None None None None;
    end_support_grant      Own  Own  None None None   None None None None;
    suspend_organisation   None None None None None   All  None None None;
    resume_organisation    None None None None None   All  None None None;
    list_features               Own  Own  Own  Own  Own    Own  Own  Own  Own;
    list_feature_flags          None None None None None   All  None None All;
    get_feature_flag            None None None None None   All  None None All;
    define_feature_flag         None None None None None   All  None None None;
    roll_out_feature_flag       None None None None None   All  None None None;
    override_feature_flag       None None None None None   All  None None None;
    clear_flag_override         None None None None None   All  None None None;
    archive_feature_flag        None None None None None   All  None None None;
    export_organisation         Own  None Own  None None   None None None None;
}

/// Operations that need no API key and no session, each with what guards it instead.
pub const PUBLIC: &[(&str, &str)] = &[
    ("enrol_node", "the one-time token in the body"),
    ("receive_stripe_webhook", "Stripe's signature over the raw body"),
    ("open_notifications", "the one-time ticket in its first message"),
    ("download_file", "the one-time ticket in the body"),
    ("get_liveness", "says only that the process runs"),
    ("get_readiness", "names parts, no data"),
    ("get_startup", "names parts, no data"),
    ("get_metrics", "counts without tenants"),
    ("get_openapi", "this document"),
    ("get_error_page", "documentation"),
    ("register_user", "answers alike whoever has the address, and the code goes to it"),
    ("resend_code", "answers alike whoever has the address, and the code goes to it"),
    ("request_password_reset", "answers alike whoever has the address, and the code goes to it"),
    ("verify_email", "the code that was sent to the address"),
    ("reset_password", "the code that was sent to the address"),
    ("sign_in", "the password, and a one-time password when it is in use"),
    ("get_device_page", "a page without anything in it"),
    ("request_device_code", "gives nothing but two codes, until a person lets the program in"),
    ("redeem_device_code", "the device code in the body, and the person who let it in"),
    ("list_sign_in_providers", "names, no data"),
    (
        "begin_provider_sign_in",
        "opens nothing: it sends a browser to a provider that is configured",
    ),
    ("finish_provider_sign_in", "the provider's word, for an attempt that this browser began"),
    ("begin_passkey_sign_in", "opens nothing: it gives a challenge, and looks nobody up"),
    (
        "finish_passkey_sign_in",
        "the signature of a passkey that verified its person, for an attempt that this browser began",
    ),
    ("surrender_key", "the key itself in the body, which is ended"),
    ("get_docs", "documentation"),
    ("get_docs_page", "documentation"),
    ("get_docs_file", "documentation"),
];

/// Operations of a person on themselves: any session, whatever they belong to, and no API key.
pub const PERSONAL: &[&str] = &[
    "get_session",
    "sign_out",
    "list_sessions",
    "end_session",
    "change_password",
    "renew_session",
    "begin_totp",
    "confirm_totp",
    "remove_totp",
    "found_organisation",
    "list_organisations",
    "leave_organisation",
    "accept_invitation",
    "look_up_device",
    "approve_device",
    "deny_device",
    "list_consents",
    "record_consent",
    "get_erasure",
    "request_erasure",
    "cancel_erasure",
    "export_person",
    "list_identities",
    "begin_identity_link",
    "unlink_identity",
    "begin_passkey",
    "add_passkey",
    "list_passkeys",
    "rename_passkey",
    "remove_passkey",
];

/// What changes how a person signs in without asking for the password or the factor itself: asked for soon after they signed in, or not at all.
pub const FRESH: &[&str] = &["begin_totp", "begin_identity_link", "unlink_identity"];

/// Guarded changes without an `Idempotency-Key`: personal ones that carry or make a secret, of which nothing may be kept; a ticket, of
/// which each request makes another; and what is read, however often it is said.
pub const UNKEYED: &[&str] = &[
    "sign_out",
    "renew_session",
    "change_password",
    "begin_totp",
    "confirm_totp",
    "remove_totp",
    "look_up_device",
    "approve_device",
    "deny_device",
    "request_erasure",
    "export_person",
    "begin_identity_link",
    "begin_passkey",
    "add_passkey",
    "rename_passkey",
    "remove_passkey",
    "create_ticket",
    "read_inbox_notice",
    "read_inbox",
];

/// Changes that a suspended organisation may still ask for: what brings it back, and what ends what costs. It reads everything.
pub const WHILE_SUSPENDED: &[&str] = &[
    "create_top_up",
    "remove_payment_method",
    "release_allocation",
    "revoke_key",
    "disable_service_account",
    "remove_service_account",
    "end_support_grant",
];

/// What scopes of keys are made of, as `compute:read` or `compute:write`: the tags of the OpenAPI document.
pub const CONTEXTS: &[&str] = &[
    "payments",
    "ledger",
    "catalog",
    "fleet",
    "compute",
    "identity",
    "commands",
    "events",
    "notify",
    "operations",
];

/// What a key may ask whatever its scopes are: who it is.
pub const UNSCOPED: &[&str] = &["get_whoami"];

/// Whether scopes let a caller do something of a context. Who has none may do all.
#[must_use]
pub fn scopes_allow(scopes: &[String], (context, is_read): (&str, bool)) -> bool {
    let verb = if is_read { "read" } else { "write" };
    let fits = |scope: &String| scope.split_once(':') == Some((context, verb));
    scopes.is_empty() || scopes.iter().any(fits)
}

/// Whether a key of these scopes may give others to a key: all of them are its own. What has none may do all, so only such a key gives that.
#[must_use]
pub fn scopes_reach(own: &[String], given: &[String]) -> bool {
    own.is_empty() || !given.is_empty() && given.iter().all(|scope| own.contains(scope))
}

/// Whether a text is a scope.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    text.split_once(':').is_some_and(|(context, verb)| {
        CONTEXTS.contains(&context) && matches!(verb, "read" | "write")
    })
}

/// The row of an operation.
#[must_use]
pub fn rule(operation: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.operation == operation)
}

/// Whether an operation needs neither API key nor session.
#[must_use]
pub fn is_public(operation: &str) -> bool {
    PUBLIC.iter().any(|(name, _)| *name == operation)
}

/// Whether an operation is a person's own.
#[must_use]
pub fn is_personal(operation: &str) -> bool {
    PERSONAL.contains(&operation)
}

/// The whole table as text: what `cairn access matrix` prints, and what was agreed.
#[must_use]
pub fn matrix() -> String {
    let mut lines = vec![];
    let heads = Role::ALL.map(|role| format!("{:18}", role.name()));
    lines.push(format!("{:26}{}", "operation", heads.concat()));
    for rule in RULES {
        let cells = Role::ALL.map(|role| {
            let said = match rule.scope(role) {
                Scope::None => "-",
                Scope::Own => "own",
                Scope::All => "all",
            };
            format!("{said:18}")
        });
        lines.push(format!("{:26}{}", rule.operation, cells.concat()));
    }
    for operation in PERSONAL {
        lines.push(format!("{operation:26}any signed-in person, on themselves"));
    }
    for (operation, guard) in PUBLIC {
        lines.push(format!("{operation:26}open: {guard}"));
    }
    let lines = lines.iter().map(|line| line.trim_end());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{FRESH, WHILE_SUSPENDED, is_personal, is_scope, rule, scopes_allow};

    #[test]
    fn scopes_narrow_and_none_do_not() {
        let scopes = ["compute:read".to_owned(), "ledger:read".to_owned()];
        assert!(scopes_allow(&scopes, ("compute", true)));
        assert!(!scopes_allow(&scopes, ("compute", false)));
        assert!(!scopes_allow(&scopes, ("payments", true)));
        assert!(scopes_allow(&[], ("payments", false)));
        assert!(is_scope("compute:write"));
        for wrong in ["compute", "compute:admin", "machines:read", ":read", ""] {
            assert!(!is_scope(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_a_fresh_sign_in_is_asked_for_is_an_operation() {
        assert!(FRESH.iter().all(|operation| is_personal(operation)));
    }

    #[test]
    fn what_is_allowed_while_suspended_is_an_operation() {
        assert!(WHILE_SUSPENDED.iter().all(|operation| rule(operation).is_some()));
    }
}
