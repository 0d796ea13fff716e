//! Sealed texts in a document.
use cairn_core::personal::sealed;
use serde_json::Value;

/// Whether a text is sealed.
pub(super) fn is_sealed(text: &str) -> bool {
    sealed(text).is_some()
}

/// Shows every text of a document, in an order that is always the same.
pub(super) fn each(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, visit)),
        Value::Object(members) => members.values_mut().for_each(|value| each(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every sealed text of a document, in that order.
pub(super) fn texts_of(value: &mut Value) -> Vec<String> {
    let mut found = vec![];
    each(value, &mut |text| {
        if is_sealed(text) {
            found.push(text.clone());
        }
    });
    found
}
