//! Whether whoever asks may do what they ask for, and for which organisation: the table, scopes of keys, memberships of people, grants
//! to support, suspension.
use axum::http::{HeaderMap, HeaderName};
use cairn_core::{OrganisationId, Timestamp};
use cairn_identity::Role;

use super::state::Api;
use crate::auth::directory::{KnownKey, KnownSession, Membership};
use crate::auth::{Caller, Person, Scope, Standing, Who, table};
use crate::problem::Problem;

/// Names the organisation that a person acts for.
pub const ORGANISATION: HeaderName = HeaderName::from_static("cairn-organisation");
/// Names the organisation that support looks into.
pub const ACT_FOR: HeaderName = HeaderName::from_static("cairn-act-for");

/// How long after signing in somebody may change how they sign in.
const FRESH_SECS: i64 = 15 * 60;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `operationId`.
    pub operation: &'a str,
    /// Its tag.
    pub context: &'a str,
    /// Whether it changes nothing.
    pub is_read: bool,
}

/// The caller that a key makes.
///
/// # Errors
/// `forbidden`, `scope_missing`, `grant_missing`, `organisation_suspended`.
pub async fn key(
    api: &Api,
    key: &KnownKey,
    wanted: &Wanted<'_>,
    act_for: Option<OrganisationId>,
) -> Result<Caller, Problem> {
    if table::is_personal(wanted.operation) {
        let detail = "this is a person's own: sign in instead of sending a key";
        return Err(Problem::new("forbidden", detail));
    }
    let is_scoped = !table::UNSCOPED.contains(&wanted.operation);
    if is_scoped && !table::scopes_allow(&key.scopes, (wanted.context, wanted.is_read)) {
        let detail = format!("the key has only the scopes {}", key.scopes.join(", "));
        return Err(Problem::new("scope_missing", detail));
    }
    let Some(organisation_id) = act_for else {
        let own = (key.organisation_id, key.role);
        let who = match key.service_account_id {
            Some(account) => Who::Service(account, key.key_id),
            None => Who::Key(key.key_id),
        };
        return admit(who, own, key.suspended, wanted);
    };
    let refused =
        || Problem::new("grant_missing", "no customer of that name lets support look now");
    if key.role != Role::PlatformSupport {
        return Err(refused());
    }
    let grant = api.directory.grant(organisation_id, api.commands.clock.now()).await?;
    let who = Who::Support(key.key_id, grant.ok_or_else(refused)?);
    admit(who, (organisation_id, Role::Viewer), false, wanted)
}

/// The caller that a session makes, for the organisation that the request names, or the only one there is.
///
/// # Errors
/// `forbidden`, `organisation_needed`, `organisation_suspended`, `second_factor_needed`.
pub fn person(
    session: &KnownSession,
    wanted: &Wanted<'_>,
    organisation: Option<OrganisationId>,
) -> Result<Caller, Problem> {
    let who = Who::Person(session.person);
    let Membership { organisation_id, role, suspended, .. } = membership(session, organisation)?;
    admit(who, (organisation_id, role), suspended, wanted)
}

/// What a person is in the organisation that the request names, or in the only one there is.
///
/// # Errors
/// `forbidden`, `organisation_needed`, `second_factor_needed`.
pub fn membership(
    session: &KnownSession,
    organisation: Option<OrganisationId>,
) -> Result<Membership, Problem> {
    let own = belonging(session, organisation)?;
    if own.second_factor_demanded && !session.two_factors {
        let detail = "a second factor is demanded here: set up one-time passwords or a passkey, and sign in with it";
        return Err(Problem::new("second_factor_needed", detail));
    }
    Ok(own)
}

/// What changes how somebody signs in is asked for soon after they did: not by whoever finds a session open.
///
/// # Errors
/// `sign_in_too_old`.
pub fn fresh(session: &KnownSession, operation: &str, now: Timestamp) -> Result<(), Problem> {
    if !table::FRESH.contains(&operation) || now.secs_since(session.opened_at) <= FRESH_SECS {
        return Ok(());
    }
    let minutes = FRESH_SECS / 60;
    let detail = format!("you signed in more than {minutes} minutes ago: sign in again to do this");
    Err(Problem::new("sign_in_too_old", detail))
}

fn belonging(
    session: &KnownSession,
    organisation: Option<OrganisationId>,
) -> Result<Membership, Problem> {
    match organisation {
        Some(wanted) => {
            let own = session.memberships.iter().find(|m| m.organisation_id == wanted);
            let refused = || Problem::new("forbidden", "you do not belong to that organisation");
            own.copied().ok_or_else(refused)
        }
        None => match &*session.memberships {
            [only] => Ok(*only),
            [] => {
                let detail =
                    "you belong to no organisation yet: found one, or accept an invitation";
                Err(Problem::new("organisation_needed", detail))
            }
            _ => {
                let detail = "you belong to several: name one in the header Cairn-Organisation";
                Err(Problem::new("organisation_needed", detail))
            }
        },
    }
}

/// Whoever came in before, if they still may.
///
/// # Errors
/// Those of [`key`] and [`person`], and of keys and sessions that are over.
pub async fn again(api: &Api, standing: &Standing, wanted: &Wanted<'_>) -> Result<Caller, Problem> {
    let (now, organisation) = (api.commands.clock.now(), standing.organisation_id);
    match standing.who {
        Who::Key(id) | Who::Service(_, id) | Who::Support(id, _) => {
            key(api, &api.directory.key_named(id, now).await?, wanted, organisation).await
        }
        Who::Person(Person { session_id, .. }) => {
            person(&api.directory.session_named(session_id, now).await?, wanted, organisation)
        }
    }
}

fn admit(
    who: Who,
    (organisation_id, role): (OrganisationId, Role),
    suspended: bool,
    wanted: &Wanted<'_>,
) -> Result<Caller, Problem> {
    let scope = table::rule(wanted.operation).map_or(Scope::None, |rule| rule.scope(role));
    if scope == Scope::None {
        let detail = format!("the role {} may not do this", role.name());
        return Err(Problem::new("forbidden", detail));
    }
    let goes_on = wanted.is_read || table::WHILE_SUSPENDED.contains(&wanted.operation);
    if suspended && !goes_on {
        let detail =
            "it reads, pays in and releases what it has, and nothing else until it is resumed";
        return Err(Problem::new("organisation_suspended", detail));
    }
    Ok(Caller { who, organisation_id, role, scope })
}

/// The organisation that a header names.
///
/// # Errors
/// `organisation_header_invalid`.
pub fn named(headers: &HeaderMap, name: &HeaderName) -> Result<Option<OrganisationId>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let found = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || {
        let detail = format!("{name} is an organisation's id: org_ and 26 characters");
        Problem::new("organisation_header_invalid", detail)
    };
    found.map(Some).ok_or_else(wrong)
}
