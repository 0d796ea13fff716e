//! The OpenAPI document: 3.1, whole, and about every route.
use std::collections::BTreeSet;

use cairn_api::http::openapi;
use reqwest::Method;
use serde_json::Value;

/// One operation of the document.
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub path: String,
    pub body: Value,
}

pub fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// Every operation.
pub fn operations() -> Vec<Operation> {
    let document = document();
    let mut found = vec![];
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, body) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let id = body["operationId"].as_str().unwrap().to_owned();
            found.push(Operation { id, method, path: path.clone(), body: body.clone() });
        }
    }
    found
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                found.push(target.clone());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_openapi_3_1_and_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut found = vec![];
    references(&document, &mut found);
    assert!(found.len() > 20);
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

#[test]
fn every_operation_is_described_in_full() {
    let operations = operations();
    let ids: BTreeSet<_> = operations.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids.len(), operations.len(), "operation ids are unique");
    for operation in &operations {
        let Operation { id, method, path, body } = operation;
        assert!(body["summary"].is_string(), "{id} has no summary");
        assert!(!body["responses"].as_object().unwrap().is_empty(), "{id} has no responses");
        let parameters = body["parameters"].as_array().cloned().unwrap_or_default();
        let named = |place: &str, name: &str| {
            parameters.iter().any(|p| p["in"] == place && p["name"] == name)
        };
        for part in path.split('/').filter_map(|p| p.strip_prefix('{')) {
            let name = part.trim_end_matches('}');
            assert!(named("path", name), "{id} does not describe {name}");
        }
        let guarded = body["security"].is_array();
        assert_eq!(guarded, !cairn_api::auth::table::is_public(id), "{id}: security");
        // Each request for a ticket is to make another one, and what is read is read, however often it is said.
        let exempt = ["create_ticket", "read_inbox_notice", "read_inbox"].contains(&id.as_str());
        if guarded && *method == Method::POST && !exempt {
            assert!(named("header", "Idempotency-Key"), "{id} needs an Idempotency-Key");
        }
    }
}
