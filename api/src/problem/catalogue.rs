//! Every code that a caller can meet: its status, its title, and whether the same request may be sent again.
//!
//! Each row has a page of the same name in `docs/errors/`, compiled in, so a code without a page does not build.
use axum::http::StatusCode;

/// One stable code.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// Stable, `snake_case`, never renamed.
    pub name: &'static str,
    /// HTTP status it travels with.
    pub status: StatusCode,
    /// One line for people, the same every time.
    pub title: &'static str,
    /// Whether sending the same request again may succeed without changing anything.
    pub retryable: bool,
    /// Its page.
    pub page: &'static str,
}

macro_rules! codes {
    ($($name:ident $status:ident $retryable:literal $title:literal;)+) => {
        /// Every code.
        pub const CODES: &[Code] = &[$(Code {
            name: stringify!($name),
            status: StatusCode::$status,
            title: $title,
            retryable: $retryable,
            page: include_str!(concat!("../../../docs/errors/", stringify!($name), ".md")),
        },)+];
    };
}

codes! {
    // who asks
    unauthenticated UNAUTHORIZED false "The API key is missing, unknown or revoked";
    api_key_expired UNAUTHORIZED false "The API key has expired";
    service_account_disabled UNAUTHORIZED false "The service account is disabled";
    api_key_malformed UNAUTHORIZED false "The API key is mistyped";
    api_key_for_tests UNAUTHORIZED false "The API key is for tests";
    ticket_invalid UNAUTHORIZED false "The ticket is unknown, used or over";
    origin_refused FORBIDDEN false "Pages of this origin may not do this";
    rate_limited TOO_MANY_REQUESTS true "Asked too often";
    forbidden FORBIDDEN false "The key's role may not do this";
    session_over UNAUTHORIZED false "The session is over";
    csrf_token_invalid FORBIDDEN false "The change does not prove that it comes from our own page";
    origin_forbidden FORBIDDEN false "Pages of that origin may not ask";
    scope_missing FORBIDDEN false "The key's scopes do not reach so far";
    grant_missing FORBIDDEN false "The customer does not let support look";
    organisation_suspended FORBIDDEN false "The organisation is suspended";
    second_factor_needed FORBIDDEN false "A second factor is demanded here";
    sign_in_too_old FORBIDDEN false "You signed in too long ago for this";
    organisation_needed BAD_REQUEST false "It is not said for which organisation";
    organisation_header_invalid BAD_REQUEST false "The header does not name an organisation";
    sign_in_failed UNAUTHORIZED false "The address or the password is wrong";
    sign_in_locked FORBIDDEN true "Too many attempts failed";
    one_time_password_needed UNAUTHORIZED false "A one-time password is needed";
    one_time_password_wrong UNAUTHORIZED false "The one-time password is wrong";
    one_time_password_used UNAUTHORIZED true "The one-time password was used before";
    email_unverified FORBIDDEN false "The address is not verified";
    email_taken CONFLICT false "Another account has the address";
    link_invalid UNPROCESSABLE_ENTITY false "The code is unknown, used, or over";
    authorization_pending BAD_REQUEST true "Nobody has decided yet";
    slow_down BAD_REQUEST true "Asked too soon after the last time";
    expired_token BAD_REQUEST false "The device code is unknown, over, or used";
    sign_in_attempt_invalid BAD_REQUEST false "This browser did not begin this sign-in";
    provider_refused FORBIDDEN false "The provider does not vouch for you";
    identity_unknown FORBIDDEN false "No account has linked this identity";
    identity_unlinked CONFLICT false "An account has the address of this identity";
    identity_in_use CONFLICT false "The identity or its provider is linked already";
    unknown_identity NOT_FOUND false "No such identity is linked";
    passkeys_unavailable CONFLICT false "This server's address takes no passkeys";
    passkey_attempt_invalid BAD_REQUEST false "This browser began no such attempt";
    passkey_refused FORBIDDEN false "The authenticator's answer does not hold";
    passkey_cloned FORBIDDEN false "There may be a copy of the passkey";
    passkey_in_use CONFLICT false "The passkey is added already";
    passkey_name_invalid UNPROCESSABLE_ENTITY false "A passkey's name is 1 to 100 characters";
    passkeys_full CONFLICT false "The person has too many passkeys";
    unknown_passkey NOT_FOUND false "There is no such passkey";
    access_denied BAD_REQUEST false "The program was not let in";
    password_weak UNPROCESSABLE_ENTITY false "The password is easily guessed";
    password_changed CONFLICT true "The password was changed meanwhile";
    unknown_user NOT_FOUND false "There is no such person";
    user_closed FORBIDDEN false "The account was closed";
    user_name_invalid UNPROCESSABLE_ENTITY false "A name is 1 to 100 characters";
    unknown_session NOT_FOUND false "There is no such session";
    totp_not_begun CONFLICT false "There is no secret to confirm";
    totp_in_use CONFLICT false "One-time passwords are in use";
    unknown_organisation NOT_FOUND false "There is no such organisation";
    organisation_name_invalid UNPROCESSABLE_ENTITY false "A name is 1 to 100 characters";
    organisation_full CONFLICT false "The organisation has too many members, invitations, service accounts or projects";
    role_too_high FORBIDDEN false "Nobody gives more than they have";
    unknown_member NOT_FOUND false "There is no such member";
    member_already CONFLICT false "They belong to it already";
    last_owner CONFLICT false "An organisation keeps an owner";
    unknown_invitation NOT_FOUND false "There is no such invitation";
    invitation_for_another FORBIDDEN false "The invitation is for another address";
    unknown_service_account NOT_FOUND false "There is no such service account";
    service_account_name_invalid UNPROCESSABLE_ENTITY false "A name is 1 to 100 characters";
    service_account_role_invalid UNPROCESSABLE_ENTITY false "No service account has this role";
    unknown_project NOT_FOUND false "There is no such project";
    project_name_invalid UNPROCESSABLE_ENTITY false "A name is 1 to 100 characters";
    project_archived CONFLICT false "The project is archived";
    unknown_grant NOT_FOUND false "There is no such grant";
    grant_invalid UNPROCESSABLE_ENTITY false "Support may look for at most 7 days";
    // what is asked
    not_found NOT_FOUND false "There is no such thing here";
    route_not_found NOT_FOUND false "There is no such address";
    method_not_allowed METHOD_NOT_ALLOWED false "The address does not take this method";
    idempotency_key_missing BAD_REQUEST false "The Idempotency-Key header is missing";
    idempotency_key_invalid BAD_REQUEST false "The Idempotency-Key header is malformed";
    idempotency_key_reused UNPROCESSABLE_ENTITY false "The key was used for another request";
    body_malformed BAD_REQUEST false "The body is not JSON";
    body_invalid UNPROCESSABLE_ENTITY false "The body does not have the right shape";
    body_too_large PAYLOAD_TOO_LARGE false "The body is too large";
    body_timeout REQUEST_TIMEOUT true "The body did not arrive in time";
    content_type_unsupported UNSUPPORTED_MEDIA_TYPE false "The body must be application/json";
    precondition_required PRECONDITION_REQUIRED false "This needs an If-Match header";
    precondition_invalid BAD_REQUEST false "The If-Match header is malformed";
    precondition_failed PRECONDITION_FAILED false "It has changed since it was seen";
    upgrade_required UPGRADE_REQUIRED false "This is a WebSocket";
    subprotocol_missing BAD_REQUEST false "The WebSocket's subprotocol is missing";
    hello_invalid BAD_REQUEST false "The WebSocket's client said what it may not";
    too_many_streams TOO_MANY_REQUESTS true "Too many streams are open";
    version_unknown BAD_REQUEST false "There is no such version of this API";
    unknown_command NOT_FOUND false "Nothing has happened under this key";
    query_invalid BAD_REQUEST false "A query parameter is wrong";
    cursor_invalid BAD_REQUEST false "The cursor was not given out by this list";
    position_unknown BAD_REQUEST false "The log has not reached that position";
    position_not_reached SERVICE_UNAVAILABLE true "The views have not reached that position yet";
    webhook_signature_invalid BAD_REQUEST false "The webhook's signature is wrong";
    webhook_signature_malformed BAD_REQUEST false "The webhook's signature header is malformed";
    webhook_signature_stale BAD_REQUEST false "The webhook was signed too long ago";
    webhook_secret_missing SERVICE_UNAVAILABLE true "No webhook secret is configured";
    webhook_body_unreadable BAD_REQUEST false "The webhook cannot be read";
    // how we are
    database_unavailable SERVICE_UNAVAILABLE true "The database cannot be reached";
    outcome_in_doubt SERVICE_UNAVAILABLE true "It is not known whether this happened";
    provider_unavailable SERVICE_UNAVAILABLE true "A provider cannot be reached";
    command_in_flight CONFLICT true "It is being carried out";
    conflict CONFLICT true "Others changed the same thing at the same time";
    timeout SERVICE_UNAVAILABLE true "The answer took too long";
    shutting_down SERVICE_UNAVAILABLE true "This server is stopping";
    internal INTERNAL_SERVER_ERROR false "Something is wrong with Cairn";
    // money
    amount_out_of_range UNPROCESSABLE_ENTITY false "The amount is outside the limits";
    amount_not_positive UNPROCESSABLE_ENTITY false "The amount must be more than zero";
    amount_too_large UNPROCESSABLE_ENTITY false "The amount is more than the ledger can hold";
    amount_malformed UNPROCESSABLE_ENTITY false "The amount is not a decimal number";
    currency_unknown UNPROCESSABLE_ENTITY false "The currency is not sold in";
    not_whole_minor_units UNPROCESSABLE_ENTITY false "The amount is not whole cents";
    insufficient_funds PAYMENT_REQUIRED false "The wallet does not cover this";
    spending_limit_reached PAYMENT_REQUIRED false "The spending limit of this month is reached";
    alerts_invalid UNPROCESSABLE_ENTITY false "The alerts contradict each other, or are too many";
    spending_limits_invalid UNPROCESSABLE_ENTITY false "The limits contradict each other";
    auto_top_up_invalid UNPROCESSABLE_ENTITY false "The automatic top-up makes no sense like this";
    exceeds_refundable CONFLICT false "More than is left of that payment";
    payment_disputed CONFLICT false "The payment is disputed";
    credit_expiry_invalid UNPROCESSABLE_ENTITY false "Credit expires in the future";
    unknown_hold NOT_FOUND false "There is no such hold";
    hold_closed CONFLICT false "The hold is closed";
    unknown_payment NOT_FOUND false "There is no such payment";
    payment_in_wrong_state CONFLICT false "The payment cannot do this now";
    unknown_payment_method NOT_FOUND false "There is no such payment method";
    payment_method_in_wrong_state CONFLICT false "The payment method cannot do this now";
    payment_methods_full CONFLICT false "Enough payment methods are kept";
    currency_mismatch UNPROCESSABLE_ENTITY false "The payment is in another currency";
    provider_amount_mismatch CONFLICT false "The provider reports another amount";
    provider_id_mismatch CONFLICT false "The provider reports another payment";
    unknown_refund NOT_FOUND false "There is no such refund";
    refund_in_wrong_state CONFLICT false "The refund cannot do this now";
    unknown_charge NOT_FOUND false "There is no such charge";
    charge_not_sealed CONFLICT true "The charge cannot be proven yet";
    dispute_in_wrong_state CONFLICT false "The dispute is not where it would have to be";
    unknown_dispute NOT_FOUND false "There is no such dispute";
    payout_in_wrong_state CONFLICT false "The payout is not where it would have to be";
    unknown_payout NOT_FOUND false "There is no such payout";
    bank_account_invalid UNPROCESSABLE_ENTITY false "The name of the bank account is malformed";
    // statements of the bank
    bank_statement_invalid UNPROCESSABLE_ENTITY false "The statement cannot be read";
    bank_statement_unbalanced UNPROCESSABLE_ENTITY false "The statement does not add up";
    bank_account_missing UNPROCESSABLE_ENTITY false "It is not said which account it is";
    bank_account_differs CONFLICT false "The name is that of another account";
    bank_line_changed CONFLICT false "A line says something else than before";
    // catalogue
    unknown_sku NOT_FOUND false "There is no such SKU";
    sku_retired CONFLICT false "The SKU is retired";
    sku_exists CONFLICT false "The SKU exists with other resources";
    sku_id_invalid UNPROCESSABLE_ENTITY false "The SKU id is malformed";
    sku_resources_invalid UNPROCESSABLE_ENTITY false "The resources cannot be sold";
    price_invalid UNPROCESSABLE_ENTITY false "The price is outside the limits";
    discount_invalid UNPROCESSABLE_ENTITY false "That is no discount";
    discounts_full CONFLICT false "There are enough discounts";
    unknown_discount NOT_FOUND false "There is no such discount";
    disk_price_invalid UNPROCESSABLE_ENTITY false "That is no price of additional disk";
    disk_not_sold CONFLICT false "The SKU has no additional disk in this currency";
    disk_beyond_limit CONFLICT false "That is more additional disk than is sold";
    price_tiers_invalid UNPROCESSABLE_ENTITY false "Those are no tiers of a price";
    jurisdiction_invalid UNPROCESSABLE_ENTITY false "That is no jurisdiction";
    tax_invalid UNPROCESSABLE_ENTITY false "That is no tax";
    correction_not_positive UNPROCESSABLE_ENTITY false "A correction takes back one second or more";
    correction_exceeds_usage CONFLICT false "Less is metered than would be taken back";
    usage_invoiced CONFLICT false "What would be given back is about to be invoiced";
    resize_under_way CONFLICT false "The rental is being resized already";
    resize_unchanged CONFLICT false "The rental is that already";
    disk_shrinks CONFLICT false "A disk does not shrink";
    price_changed CONFLICT false "The price is another one now";
    price_in_other_currency CONFLICT false "A rental stays in its currency";
    price_missing CONFLICT false "The SKU has no price in this currency";
    // nodes
    unknown_node NOT_FOUND false "There is no such node";
    node_name_invalid UNPROCESSABLE_ENTITY false "The node's name is malformed";
    enrolment_token_refused FORBIDDEN false "The enrolment token is wrong, used or over";
    host_key_missing UNPROCESSABLE_ENTITY false "The node presents no host key";
    host_key_invalid UNPROCESSABLE_ENTITY false "A host key is not an OpenSSH public key";
    node_address_invalid UNPROCESSABLE_ENTITY false "The node's address is malformed";
    node_address_in_use CONFLICT false "Another node has this address";
    node_not_ready CONFLICT false "The node lacks something that allocations need";
    node_in_wrong_state CONFLICT false "The node cannot do this now";
    node_not_schedulable CONFLICT false "The node takes no new allocations";
    no_capacity CONFLICT true "No node has room for this";
    node_in_use CONFLICT false "The node still has allocations";
    node_retired CONFLICT false "The node is retired";
    unknown_reservation NOT_FOUND false "The node has no such reservation";
    // allocations
    unknown_allocation NOT_FOUND false "There is no such allocation";
    allocation_in_wrong_state CONFLICT false "The allocation cannot do this now";
    ssh_public_key_invalid UNPROCESSABLE_ENTITY false "The SSH public key cannot be used";
    step_out_of_order CONFLICT false "A provisioning step came before its turn";
    // webhooks to customers
    unknown_webhook_endpoint NOT_FOUND false "There is no such webhook endpoint";
    unknown_webhook_delivery NOT_FOUND false "There is no such webhook delivery";
    webhook_url_refused UNPROCESSABLE_ENTITY false "Webhooks cannot be sent to this address";
    webhook_event_types_invalid UNPROCESSABLE_ENTITY false "The types of events are none";
    webhook_overlap_invalid UNPROCESSABLE_ENTITY false "The old secret cannot sign on for so long";
    webhook_endpoint_disabled CONFLICT false "The webhook endpoint is disabled";
    // breaks
    unknown_break NOT_FOUND false "There is no such break";
    break_not_open CONFLICT false "The break is not open";
    break_cause_needed UNPROCESSABLE_ENTITY false "It is not said what was wrong";
    break_owner_needed UNPROCESSABLE_ENTITY false "It is not said who answers for it";
    break_due_in_the_past UNPROCESSABLE_ENTITY false "It would be due in the past";
    break_amount_invalid UNPROCESSABLE_ENTITY false "The amount is not above zero";
    break_accounts_not_allowed UNPROCESSABLE_ENTITY false "A correction may not touch these accounts";
    break_currency_differs UNPROCESSABLE_ENTITY false "The break is in another currency";
    break_currency_without_books UNPROCESSABLE_ENTITY false "No books are kept in this currency";
    break_nothing_to_write_off CONFLICT false "The amounts agree";
    break_of_bank CONFLICT false "The bank disagrees with the provider, not our books";
    break_of_usage CONFLICT false "Late usage is in no book";
    break_nothing_proposed CONFLICT false "Nothing is proposed";
    break_approver_is_proposer FORBIDDEN false "Somebody else must approve";
    // periods
    period_not_over CONFLICT false "The month is not over";
    period_earlier_open CONFLICT false "An earlier month is open";
    period_usage_unrated CONFLICT false "Usage is not rated up to the month's end";
    period_not_reconciled CONFLICT false "The provider's book is not proven up to the month's end";
    period_breaks_open CONFLICT false "Breaks above the limit are open";
    period_clearing_open CONFLICT false "What is on its way has not arrived for too long";
    period_unbalanced CONFLICT false "The books do not sum to zero";
    period_checklist_incomplete INTERNAL_SERVER_ERROR false "Not every item of the checklist was looked at";
    period_not_closed CONFLICT false "The month is not closed";
    period_later_closed CONFLICT false "A later month is closed";
    // papers
    legal_entity_invalid UNPROCESSABLE_ENTITY false "What is said of the legal entity is malformed";
    legal_entity_missing CONFLICT false "Nobody has said who issues invoices";
    billing_details_invalid UNPROCESSABLE_ENTITY false "The billing details are malformed";
    series_taken CONFLICT false "The series is of another legal entity";
    unknown_invoice NOT_FOUND false "There is no such invoice";
    nothing_to_invoice CONFLICT false "There is nothing to invoice";
    unknown_invoice_line NOT_FOUND false "The invoice has no such line";
    credit_exceeds_invoice CONFLICT false "Less is left of the invoice";
    credit_exceeds_usage CONFLICT false "Usage has taken less from the wallet";
    invoice_not_paid_for INTERNAL_SERVER_ERROR false "What was paid is not what was charged";
    // feature flags
    unknown_feature_flag NOT_FOUND false "There is no such feature flag";
    feature_flag_exists CONFLICT false "The feature flag exists with another description";
    feature_flag_archived CONFLICT false "The feature flag is archived";
    feature_flag_name_invalid UNPROCESSABLE_ENTITY false "The feature flag's name is malformed";
    feature_flag_description_invalid UNPROCESSABLE_ENTITY false "A description is needed";
    feature_flag_percentage_invalid UNPROCESSABLE_ENTITY false "A percentage is 0 to 100";
    feature_flag_overrides_full CONFLICT false "The feature flag has too many overrides";
    operation_paused FORBIDDEN true "Operators have paused this";
    // keys, processes, anything
    unknown_api_key NOT_FOUND false "There is no such API key";
    api_key_revoked CONFLICT false "The API key was revoked";
    key_expiry_invalid UNPROCESSABLE_ENTITY false "The API key cannot expire then";
    key_name_invalid UNPROCESSABLE_ENTITY false "The key's name is malformed";
    unknown_intent NOT_FOUND false "There is no such intent";
    intent_not_skippable CONFLICT false "What the intent does cannot be taken as done";
    intent_not_waiting CONFLICT false "The intent does not wait for an operator";
    erasure_not_due CONFLICT false "No erasure is due";
    consent_version_invalid UNPROCESSABLE_ENTITY false "The version of the document is malformed";
    terms_not_accepted UNPROCESSABLE_ENTITY false "The terms were not agreed to";
    confirmation_wrong UNPROCESSABLE_ENTITY false "What was to be typed once more is something else";
    erasure_not_begun CONFLICT false "The erasure was never begun";
    subject_erased GONE false "Whose data this is was erased";
    reason_needed UNPROCESSABLE_ENTITY false "A reason is needed";
    id_reused CONFLICT false "The id belongs to something else";
}

/// The row of what nobody foresaw.
pub(super) fn internal() -> &'static Code {
    static INTERNAL: Code = Code {
        name: "internal",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        title: "Something is wrong with Cairn",
        retryable: false,
        page: "",
    };
    find(INTERNAL.name).unwrap_or(&INTERNAL)
}

/// The row of a code.
#[must_use]
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::CODES;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn names() -> BTreeSet<String> {
        CODES.iter().map(|code| code.name.to_owned()).collect()
    }

    #[test]
    fn every_page_belongs_to_a_code_and_every_code_stands_once() {
        let pages: BTreeSet<String> = std::fs::read_dir(root().join("docs/errors"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|stem| stem != "README")
            .collect();
        assert_eq!(pages, names());
        assert_eq!(names().len(), CODES.len());
    }

    #[test]
    fn every_page_says_what_to_do() {
        for code in CODES {
            assert!(code.page.starts_with(&format!("# `{}`", code.name)), "{}", code.name);
            for part in ["**Means:**", "**Cause:**", "**Do:**", "**Retry:**"] {
                assert!(code.page.contains(part), "{} lacks {part}", code.name);
            }
            let says_yes = code.page.contains("**Retry:** yes");
            assert_eq!(says_yes, code.retryable, "{}: page and code disagree on retry", code.name);
        }
    }

    /// Codes stand in `fn code` of a refusal as `Self::Variant => "code",`.
    fn codes_in(source: &str) -> Vec<String> {
        let Some((_, rest)) = source.split_once("fn code(&self)") else { return vec![] };
        let body = rest.split("\n    }\n").next().unwrap_or_default();
        body.split("=> \"").skip(1).filter_map(|t| t.split('"').next()).map(str::to_owned).collect()
    }

    #[test]
    fn every_refusal_of_the_domain_has_a_page() {
        let mut found = 0;
        for context in std::fs::read_dir(root().join("domain")).unwrap() {
            let mut folders = vec![context.unwrap().path().join("src")];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).into_iter().flatten() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    for code in codes_in(&std::fs::read_to_string(path).unwrap()) {
                        assert!(names().contains(&code), "{code} has no row and no page");
                        found += 1;
                    }
                }
            }
        }
        assert!(found > 30, "only {found} codes found: the search is broken");
    }
}
