//! Views of the identity context.
pub mod api_keys;
pub mod organisations;
pub mod organisations_query;
pub mod passkeys_query;
pub mod people;
pub mod people_query;
pub mod projects_query;
pub mod service_accounts_query;
pub mod uses;
pub mod wishes;
