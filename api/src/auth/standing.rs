//! How somebody came in, as a text: a ticket and an open stream are kept under it, and it is asked again whether they may still.
//!
//! `key_…` is a program, `key_…/sa_…` one that is a service account, `user_…/sess_…/org_…` a person who acts for an organisation, `key_…/grant_…/org_…` support.
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use cairn_core::{ApiKeyId, GrantId, OrganisationId};
use cairn_identity::Role;
use cairn_projections::QueryError;
use cairn_projections::identity::{api_keys, organisations_query, people_query};
use sqlx::PgPool;

use super::{Caller, Person, Who};

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub who: Who,
    /// For whom; a key's own organisation is not said.
    pub organisation_id: Option<OrganisationId>,
}

impl Standing {
    /// Of a caller.
    #[must_use]
    pub const fn of(caller: &Caller) -> Self {
        let organisation_id = match caller.who {
            Who::Key(_) | Who::Service(..) => None,
            Who::Person(_) | Who::Support(..) => Some(caller.organisation_id),
        };
        Self { who: caller.who, organisation_id }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Who::Key(key_id) => write!(f, "{key_id}")?,
            Who::Service(account, key_id) => write!(f, "{key_id}/{account}")?,
            Who::Person(Person { user_id, session_id }) => write!(f, "{user_id}/{session_id}")?,
            Who::Support(key_id, grant_id) => write!(f, "{key_id}/{grant_id}")?,
        }
        self.organisation_id.map_or(Ok(()), |id| write!(f, "/{id}"))
    }
}

impl FromStr for Standing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text.split('/').collect();
        let (who, organisation) = match parts[..] {
            [key] => (Who::Key(key.parse().map_err(drop)?), None),
            [key, account] => {
                let account = account.parse().map_err(drop)?;
                (Who::Service(account, key.parse().map_err(drop)?), None)
            }
            [first, second, organisation] => {
                let support = || Some(Who::Support(first.parse().ok()?, second.parse().ok()?));
                let (user_id, session_id) = (first.parse(), second.parse());
                let who = match (user_id, session_id) {
                    (Ok(user_id), Ok(session_id)) => Who::Person(Person { user_id, session_id }),
                    _ => support().ok_or(())?,
                };
                (who, Some(organisation.parse().map_err(drop)?))
            }
            _ => return Err(()),
        };
        Ok(Self { who, organisation_id: organisation })
    }
}

/// Which of these still stand, each with its role now: three questions, however many there are.
///
/// # Errors
/// [`QueryError`].
pub async fn living(
    pool: &PgPool,
    standings: &[String],
) -> Result<HashMap<String, String>, QueryError> {
    let mut asked = Asked::default();
    for text in standings {
        if let Ok(standing) = text.parse() {
            asked.add(text, standing);
        }
    }
    let keys = asked.keys.iter().map(|(_, id)| id.to_string());
    let support = asked.support.iter().map(|(_, id, _)| id.to_string());
    let living: HashMap<_, _> = api_keys::living(pool, &keys.chain(support).collect::<Vec<_>>())
        .await?
        .into_iter()
        .collect();
    let grants: Vec<_> = asked.support.iter().map(|(_, _, id)| id.to_string()).collect();
    let grants = organisations_query::living_grants(pool, &grants).await?;
    let mut found = HashMap::new();
    for (text, id) in asked.keys {
        if let Some(role) = living.get(&id.to_string()) {
            found.insert(text, role.clone());
        }
    }
    for (text, key, grant) in asked.support {
        if living.contains_key(&key.to_string()) && grants.contains(&grant.to_string()) {
            found.insert(text, Role::Viewer.name().to_owned());
        }
    }
    let (sessions, organisations): (Vec<_>, Vec<_>) = asked
        .people
        .iter()
        .map(|(_, person, id)| (person.session_id.to_string(), id.to_string()))
        .unzip();
    let roles = people_query::living(pool, &sessions, &organisations).await?;
    let roles: HashMap<_, _> = roles.into_iter().map(|row| ((row.0, row.1), row.2)).collect();
    for ((text, _, _), at) in asked.people.into_iter().zip(sessions.into_iter().zip(organisations))
    {
        if let Some(role) = roles.get(&at) {
            found.insert(text, role.clone());
        }
    }
    Ok(found)
}

/// What is asked, by what it is.
#[derive(Default)]
struct Asked {
    keys: Vec<(String, ApiKeyId)>,
    support: Vec<(String, ApiKeyId, GrantId)>,
    people: Vec<(String, Person, OrganisationId)>,
}

impl Asked {
    fn add(&mut self, text: &str, Standing { who, organisation_id }: Standing) {
        match (who, organisation_id) {
            (Who::Key(id) | Who::Service(_, id), _) => self.keys.push((text.to_owned(), id)),
            (Who::Support(key, grant), _) => self.support.push((text.to_owned(), key, grant)),
            (Who::Person(person), Some(id)) => self.people.push((text.to_owned(), person, id)),
            (Who::Person(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_core::{ApiKeyId, GrantId, OrganisationId, ServiceAccountId, SessionId, UserId};

    use super::Standing;
    use crate::auth::{Person, Who};

    #[test]
    fn how_somebody_came_in_survives_its_text() {
        let organisation_id = Some(OrganisationId::from_bits(3));
        let person = Person { user_id: UserId::from_bits(1), session_id: SessionId::from_bits(2) };
        let key = ApiKeyId::from_bits(4);
        for standing in [
            Standing { who: Who::Key(key), organisation_id: None },
            Standing {
                who: Who::Service(ServiceAccountId::from_bits(6), key),
                organisation_id: None,
            },
            Standing { who: Who::Person(person), organisation_id },
            Standing { who: Who::Support(key, GrantId::from_bits(5)), organisation_id },
        ] {
            assert_eq!(standing.to_string().parse(), Ok(standing));
        }
        for wrong in ["", "org_1", "key_1", "a/b", "a/b/c", "a/b/c/d"] {
            assert_eq!(wrong.parse::<Standing>(), Err(()), "{wrong}");
        }
    }
}
