//! What the OpenAPI document promises, held against every answer that any test here receives.
use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::openapi::{Operation, document, operations};
use crate::support::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

/// The operation of an address: one without parameters goes before one with.
pub fn operation(method: &Method, path: &str) -> Option<&'static Operation> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let fits = |template: &str| {
        let (mut there, mut here) = (template.split('/'), path.split('/'));
        let mut pairs = there.by_ref().zip(here.by_ref());
        pairs.all(|(t, h)| t == h || t.starts_with('{'))
            && template.matches('/').count() == path.matches('/').count()
    };
    let found = OPERATIONS.iter().filter(|o| o.method == *method && fits(&o.path));
    found.min_by_key(|o| o.path.contains('{'))
}

/// Where a value is not as its schema says: the words of JSON Schema that the document uses, and no others.
fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = vec![];
    judge(schema, value, "", &mut wrong);
    wrong
}

fn judge(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let none = Map::new();
    for (word, said) in schema.as_object().unwrap_or(&none) {
        match word.as_str() {
            "$ref" => {
                let target = DOCUMENT.pointer(said.as_str().unwrap().trim_start_matches('#'));
                judge(target.unwrap(), value, at, wrong);
            }
            "type" if !is_of(said, value) => wrong.push(format!("{at} is no {said}: {value}")),
            "required" => {
                let names = said.as_array().unwrap().iter().filter_map(Value::as_str);
                let absent = names.filter(|name| value.is_object() && value.get(name).is_none());
                wrong.extend(absent.map(|name| format!("{at}/{name} is missing")));
            }
            "properties" => {
                for (name, member) in value.as_object().unwrap_or(&none) {
                    match said.get(name) {
                        Some(schema) => judge(schema, member, &format!("{at}/{name}"), wrong),
                        None => wrong.push(format!("{at}/{name} is not described")),
                    }
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(said, item, &format!("{at}/{number}"), wrong);
                }
            }
            "oneOf" => {
                let fits = |schema: &&Value| problems(schema, value).is_empty();
                if said.as_array().unwrap().iter().filter(fits).count() != 1 {
                    wrong.push(format!("{at} is not one of {said}"));
                }
            }
            "minimum" if value.as_f64() < said.as_f64() => wrong.push(format!("{at} is too small")),
            // Whatever is not described is wrong already.
            "type" | "minimum" | "format" | "description" | "example" | "additionalProperties" => {}
            other => wrong.push(format!("{at}: this test does not know the word {other}")),
        }
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    };
    kinds.as_array().map_or_else(|| is(kinds), |kinds| kinds.iter().any(is))
}

/// Status, type, shape and headers are as the document has them.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let Answer { status, body, .. } = answer;
    assert!(!answer.header("x-request-id").is_empty(), "{method} {path} is not named");
    let Some(operation) = operation(method, path) else {
        assert!([404, 405, 503].contains(status), "{method} {path}: {status}, and no operation");
        let problem = json!({ "$ref": "#/components/schemas/Problem" });
        assert_eq!(problems(&problem, body), Vec::<String>::new(), "{method} {path}: {body}");
        return;
    };
    let (id, class) = (&operation.id, format!("{}XX", status / 100));
    let responses =
        DOCUMENT["paths"][&operation.path][operation.method.as_str().to_lowercase()]["responses"]
            .as_object()
            .unwrap();
    let promised = responses.get(&status.to_string()).or_else(|| responses.get(&class));
    let promised = promised.unwrap_or_else(|| panic!("{id} answered {status}: {body}"));
    for (name, _) in promised["headers"].as_object().into_iter().flatten() {
        assert!(!answer.header(name).is_empty(), "{id} {status} lacks the header {name}");
    }
    let Some(content) = promised["content"].as_object().filter(|_| *method != Method::HEAD) else {
        return;
    };
    let kind = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
    let schema = content.get(&kind).unwrap_or_else(|| panic!("{id} {status} is {kind}"));
    let wrong = schema.get("schema").map(|schema| problems(schema, body)).unwrap_or_default();
    assert_eq!(wrong, Vec::<String>::new(), "{id} {status}: {body}");
}

#[test]
fn an_answer_that_is_not_as_promised_is_noticed() {
    let path = "/v1/whoami";
    assert_eq!(operation(&Method::GET, path).unwrap().id, "get_whoami");
    assert_eq!(operation(&Method::POST, "/v1/nodes/enrol").unwrap().id, "enrol_node");
    assert_eq!(operation(&Method::GET, "/v1/nodes/enrol").unwrap().id, "get_node");
    assert!(operation(&Method::GET, "/v1/whoami/x").is_none());
    let schema = json!({ "$ref": "#/components/schemas/WhoAmI" });
    let sound = json!({ "key_id": "key_1", "organisation_id": "org_1", "role": "owner" });
    assert_eq!(problems(&schema, &sound), Vec::<String>::new());
    for (member, value) in [("role", json!(1)), ("surplus", json!("x"))] {
        let mut body = sound.clone();
        body[member] = value;
        assert_eq!(problems(&schema, &body).len(), 1, "{body}");
    }
}
