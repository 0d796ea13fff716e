//! What the document says of a name, wherever it stands in a request: a parameter or a member of a body means the same in all of them.
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{OpenApi, RefOr};

use super::dated;
use crate::http::page::LIMIT_MAX;

/// Makes an integer or a text more precise.
type Sharpen = fn(&mut Object);

/// By name.
const NAMES: &[(&str, Sharpen)] = &[
    ("Idempotency-Key", |it| it.pattern = Some("^[!-~]{1,200}$".to_owned())),
    ("Cairn-Version", |it| it.enum_values = Some(vec![dated::CURRENT.into()])),
    ("If-Match", |it| it.pattern = Some(TAGS.to_owned())),
    ("Cairn-Min-Position", |it| it.minimum = Some(0.into())),
    ("min_position", |it| it.minimum = Some(0.into())),
    ("Last-Event-ID", |it| it.minimum = Some(0.into())),
    ("after", |it| it.minimum = Some(0.into())),
    ("cursor", |it| it.pattern = Some("^[A-Za-z0-9_-]+$".to_owned())),
    ("limit", |it| {
        it.minimum = Some(1.into());
        it.maximum = Some(i32::try_from(LIMIT_MAX).unwrap_or(i32::MAX).into());
    }),
    ("currency", |it| {
        it.enum_values = Some(["CHF", "EUR", "GBP", "USD"].map(Into::into).to_vec());
    }),
    ("amount", |it| it.pattern = Some("^[0-9]{1,10}([.][0-9]{1,9})?$".to_owned())),
];

/// Tags, or whatever the thing is.
const TAGS: &str =
    concat!(r#"^([*]|"[0-9]+(-[0-9a-f]+)?(-gzip)?""#, r#"(, *"[0-9]+(-[0-9a-f]+)?(-gzip)?")*)$"#);

/// Goes over every parameter and every body.
pub fn describe(document: &mut OpenApi) {
    for operation in crate::http::documents::operations(document).map(|(_, operation)| operation) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
                sharpen(&parameter.name, object);
            }
        }
        for content in operation.request_body.iter_mut().flat_map(|body| body.content.values_mut())
        {
            content.schema = content.schema.take().map(present);
        }
    }
    let schemas = document.components.iter_mut().flat_map(|all| all.schemas.iter_mut());
    for (_, schema) in schemas.filter(|(name, _)| name.ends_with("Body")) {
        let RefOr::T(Schema::Object(body)) = schema else { continue };
        for (name, member) in &mut body.properties {
            if let RefOr::T(Schema::Object(member)) = member {
                sharpen(name, member);
            }
        }
    }
}

fn sharpen(name: &str, object: &mut Object) {
    if let Some((_, sharpen)) = NAMES.iter().find(|(known, _)| *known == name) {
        sharpen(object);
    }
}

/// A body that need not come is nothing when it does not: it is never `null`.
fn present(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::OneOf(mut either)) if either.items.len() == 2 => {
            let is_reference = |item: &RefOr<Schema>| matches!(item, RefOr::Ref(_));
            match either.items.iter().position(is_reference) {
                Some(at) => either.items.swap_remove(at),
                None => RefOr::T(Schema::OneOf(either)),
            }
        }
        other => other,
    }
}
