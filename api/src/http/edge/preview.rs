//! `?preview=true`: what an operation would do, without doing it. One table says which operations have a preview; every other refuses to be asked
//! for one, before anything else, so that nobody who asks first has done it already.
use axum::extract::Query;
use axum::http::{Extensions, Method, Uri};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, Object, OneOfBuilder, Ref, RefOr, Required};

use crate::auth::table::is_public;
use crate::problem::Problem;

/// The operations that have a preview: what costs money, stops something or deletes it.
pub const PREVIEWED: &[&str] = &[
    "create_top_up",
    "create_refund",
    "set_spending_limits",
    "set_project_spending_limits",
    "set_auto_top_up",
    "retire_sku",
    "drain_node",
    "retire_node",
    "request_allocation",
    "release_allocation",
    "reprice_allocation",
    "resize_allocation",
    "correct_usage",
    "delete_webhook_endpoint",
    "remove_payment_method",
    "revoke_key",
    "remove_service_account",
    "archive_project",
    "remove_member",
    "suspend_organisation",
    "request_erasure",
    "archive_feature_flag",
];

/// The other operations that change something: they cost nothing, and whatever they end can be had again. What is in neither list is not decided,
/// and a test says so.
pub const WITHOUT: &[&str] = &[
    "create_ticket",
    "create_key",
    "rotate_key",
    "create_service_account",
    "update_service_account",
    "disable_service_account",
    "enable_service_account",
    "create_project",
    "rename_project",
    "rename_organisation",
    "set_second_factor_rule",
    "change_member_role",
    "invite_member",
    "revoke_invitation",
    "grant_support",
    "end_support_grant",
    "resume_organisation",
    "found_organisation",
    "leave_organisation",
    "accept_invitation",
    "create_payment_method",
    "prefer_payment_method",
    "create_webhook_endpoint",
    "update_webhook_endpoint",
    "rotate_webhook_secret",
    "test_webhook_endpoint",
    "disable_webhook_endpoint",
    "enable_webhook_endpoint",
    "resend_webhook_delivery",
    "define_feature_flag",
    "roll_out_feature_flag",
    "override_feature_flag",
    "clear_flag_override",
    "set_billing_details",
    "set_alerts",
    "set_project_alerts",
    "define_sku",
    "set_sku_price",
    "set_disk_price",
    "give_discount",
    "withdraw_discount",
    "invite_node",
    "cordon_node",
    "uncordon_node",
    "read_inbox",
    "read_inbox_notice",
    "record_consent",
    "cancel_erasure",
    "export_person",
    "change_password",
    "renew_session",
    "end_session",
    "sign_out",
    "begin_totp",
    "confirm_totp",
    "remove_totp",
    "begin_passkey",
    "add_passkey",
    "rename_passkey",
    "remove_passkey",
    "begin_identity_link",
    "unlink_identity",
    "look_up_device",
    "approve_device",
    "deny_device",
    "register_user",
    "resend_code",
    "request_password_reset",
    "verify_email",
    "reset_password",
    "sign_in",
    "begin_passkey_sign_in",
    "finish_passkey_sign_in",
    "request_device_code",
    "redeem_device_code",
    "surrender_key",
    "download_file",
    "enrol_node",
    "receive_stripe_webhook",
];

const NAME: &str = "preview";

/// Somebody asks only what would happen. A request that carries it does nothing.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Whether they may also read what is in the wallet: a key whose scopes do not reach so far is not told it on the way.
    pub sees_wallet: bool,
}

/// Whether an operation has a preview.
#[must_use]
pub fn is_previewed(operation: &str) -> bool {
    PREVIEWED.contains(&operation)
}

/// Whether a request asks what it would do.
///
/// # Errors
/// `query_invalid`: the operation has no preview, it is neither `true` nor `false`, or a guarded change has another parameter, which may be a
/// slip of the pen.
pub fn asked(operation: &str, (method, uri): (&Method, &Uri)) -> Result<Option<Asked>, Problem> {
    if uri.query().is_none() {
        return Ok(None);
    }
    let wrong = |detail: String| Err(Problem::new("query_invalid", detail));
    let changes = !method.is_safe();
    let pairs = match Query::<Vec<(String, String)>>::try_from_uri(uri) {
        Ok(Query(pairs)) => pairs,
        Err(error) if changes => return wrong(error.to_string()),
        // Whoever reads names what is wrong.
        Err(_) => return Ok(None),
    };
    if !is_previewed(operation) {
        let strange =
            |name: &&String| name.eq_ignore_ascii_case(NAME) || changes && !is_public(operation);
        return match pairs.iter().map(|(name, _)| name).find(strange) {
            Some(name) => wrong(format!("{operation} has no parameter '{name}': nothing was done")),
            None => Ok(None),
        };
    }
    if let Some((name, _)) = pairs.iter().find(|(name, _)| name != NAME) {
        return wrong(format!("'{name}' is none of its parameters, of which there is '{NAME}'"));
    }
    match &*pairs.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>() {
        [] | ["false"] => Ok(None),
        ["true"] => Ok(Some(Asked { sees_wallet: true })),
        [value] => wrong(format!("{NAME} is true or false, not '{value}'")),
        _ => wrong(format!("{NAME} is said more than once")),
    }
}

/// Refuses what somebody only asks about, where it would be done: what the table says and what a handler can would differ.
///
/// # Errors
/// `internal`.
pub fn not_asked(request: &Extensions) -> Result<(), Problem> {
    match request.get::<Asked>() {
        Some(_) => Err(Problem::internal("an operation in the table of previews has none")),
        None => Ok(()),
    }
}

/// Says so in the document.
pub fn describe(operation: &mut Operation) {
    if !operation.operation_id.as_deref().is_some_and(is_previewed) {
        return;
    }
    let parameter = ParameterBuilder::new().name(NAME).parameter_in(ParameterIn::Query);
    let parameter = parameter.required(Required::False).description(Some(ABOUT));
    let parameter = parameter.schema(Some(Object::with_type(Type::Boolean))).build();
    operation.parameters.get_or_insert_default().push(parameter);
    let preview = || RefOr::Ref(Ref::from_schema_name("Preview"));
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(done)) = responses.get_mut("200") {
        either(done, preview());
        return;
    }
    let content = ContentBuilder::new().schema(Some(preview())).build();
    let said = ResponseBuilder::new().description("With `preview=true`: what it would do");
    let said = said.content("application/json", content).build();
    responses.insert("200".to_owned(), said.into());
}

/// What is answered when it was done, or what would be.
fn either(done: &mut Response, preview: RefOr<utoipa::openapi::Schema>) {
    done.description.push_str("; with `preview=true`, what it would do");
    let Some(content) = done.content.get_mut("application/json") else { return };
    let Some(schema) = content.schema.take() else { return };
    let both = OneOfBuilder::new().item(schema).item(preview).build();
    content.schema = Some(RefOr::T(both.into()));
}

const ABOUT: &str = "`true`: nothing is done, and 200 says what would be: what it costs, what stops, what is kept and what is deleted. It is refused \
    as the request itself would be. An Idempotency-Key need not come and is not used up";

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::asked;

    fn of(operation: &str, method: Method, query: &str) -> Result<bool, &'static str> {
        let uri = format!("/v1/x{query}").parse().unwrap();
        let asked = asked(operation, (&method, &uri));
        asked.map(|asked| asked.is_some()).map_err(|problem| problem.code.name)
    }

    #[test]
    fn only_true_asks_and_whatever_is_neither_is_refused() {
        let rent = |query| of("request_allocation", Method::POST, query);
        for query in ["", "?", "?preview=false"] {
            assert_eq!(rent(query), Ok(false), "{query}");
        }
        for query in ["?preview=true", "?%70review=true", "?preview=t%72ue&"] {
            assert_eq!(rent(query), Ok(true), "{query}");
        }
        for query in [
            "?preview",
            "?preview=",
            "?preview=maybe",
            "?preview=True",
            "?preview=1",
            "?preview=true&preview=true",
            "?preview=true&preview=false",
            "?Preview=true",
            "?prewiev=true",
            "?preview=true&dry=1",
        ] {
            assert_eq!(rent(query), Err("query_invalid"), "{query}");
        }
    }

    #[test]
    fn what_has_no_preview_refuses_to_be_asked_for_one() {
        for (operation, method) in [
            ("cordon_node", Method::POST),
            ("sign_in", Method::POST),
            ("list_nodes", Method::GET),
            ("enrol_node", Method::POST),
        ] {
            for query in ["?preview=true", "?preview=false", "?PREVIEW=true", "?a=b&preview"] {
                let said = of(operation, method.clone(), query);
                assert_eq!(said, Err("query_invalid"), "{operation} {query}");
            }
            assert_eq!(of(operation, method, ""), Ok(false));
        }
        assert_eq!(of("list_nodes", Method::GET, "?limit=3"), Ok(false), "it is read elsewhere");
        assert_eq!(of("cordon_node", Method::POST, "?dryrun=true"), Err("query_invalid"));
        assert_eq!(of("receive_stripe_webhook", Method::POST, "?from=here"), Ok(false));
    }
}
