//! What would break a client that was built against the approved document, `docs/openapi.json`.
//!
//! Approved anew by `cargo test -p cairn-api --test suite approve_the_document -- --ignored`, when a break is meant: the version in
//! `api/src/http/edge/dated.rs` then changes with it.
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::openapi::document;

fn approved() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

/// Which way a value travels: what we read may become wider, what we write narrower, and never the other way round.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    In,
    Out,
}

/// One document beside the next, and what breaks from the first to the second.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    breaks: Vec<String>,
    seen: BTreeSet<String>,
}

fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, breaks: vec![], seen: BTreeSet::new() };
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item) {
            let at = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(next) => comparison.operation(&at, operation, next),
                None => comparison.say(&at, "is gone"),
            }
        }
    }
    comparison.breaks
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The types of a schema; all of them when it says nothing.
fn kinds(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.as_str()]),
        many => names(many),
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| document.pointer(target)).unwrap_or(value)
}

impl Comparison<'_> {
    fn say(&mut self, at: &str, what: impl AsRef<str>) {
        self.breaks.push(format!("{at}: {}", what.as_ref()));
    }

    fn operation(&mut self, at: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.say(at, "has another operationId");
        }
        if old["security"].is_null() && !new["security"].is_null() {
            self.say(at, "needs a key now");
        }
        self.parameters(at, old, new);
        self.request(at, &old["requestBody"], &new["requestBody"]);
        for (status, response) in members(&old["responses"]) {
            match new["responses"].get(status) {
                Some(next) => self.response(&format!("{at} {status}"), response, next),
                None => self.say(at, format!("does not answer {status} any more")),
            }
        }
    }

    fn parameters(&mut self, at: &str, old: &Value, new: &Value) {
        let all = |of: &Value| of["parameters"].as_array().cloned().unwrap_or_default();
        let (before, after) = (all(old), all(new));
        let same = |a: &Value, b: &Value| a["name"] == b["name"] && a["in"] == b["in"];
        for parameter in &before {
            let name = &parameter["name"];
            match after.iter().find(|next| same(parameter, next)) {
                Some(next) => {
                    let at = format!("{at} {name}");
                    self.schema(&at, &parameter["schema"], &next["schema"], Way::In);
                }
                None => self.say(at, format!("does not take {name} any more")),
            }
        }
        for parameter in after.iter().filter(|parameter| parameter["required"] == true) {
            let was = before.iter().any(|old| same(old, parameter) && old["required"] == true);
            if !was {
                self.say(at, format!("demands {}", parameter["name"]));
            }
        }
    }

    fn request(&mut self, at: &str, old: &Value, new: &Value) {
        if old["required"] != true && new["required"] == true {
            self.say(at, "demands a body");
        }
        self.content(&format!("{at} body"), &old["content"], &new["content"], Way::In);
    }

    fn response(&mut self, at: &str, old: &Value, new: &Value) {
        for (name, _) in members(&old["headers"]) {
            if new["headers"].get(name).is_none() {
                self.say(at, format!("does not say {name} any more"));
            }
        }
        self.content(at, &old["content"], &new["content"], Way::Out);
    }

    fn content(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        for (kind, content) in members(old) {
            match new.get(kind) {
                Some(next) => self.schema(at, &content["schema"], &next["schema"], way),
                None => self.say(at, format!("is not {kind} any more")),
            }
        }
    }

    fn schema(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        if let Some(target) = old["$ref"].as_str()
            && !self.seen.insert(format!("{target} {} {}", new["$ref"], way == Way::In))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let (wide, narrow) = if way == Way::In { (new, old) } else { (old, new) };
        let (more, less) = (kinds(wide), kinds(narrow));
        // An integer is a number.
        let fits =
            |kind: &&str| more.contains(kind) || (*kind == "integer" && more.contains("number"));
        if !more.is_empty() && (less.is_empty() || !less.iter().all(fits)) {
            self.say(at, format!("was {} and is {}", old["type"], new["type"]));
        }
        let (allowed, possible) = (names(&wide["enum"]), names(&narrow["enum"]));
        let is_bound = wide["enum"].is_array();
        if is_bound && (possible.is_empty() || !possible.is_subset(&allowed)) {
            self.say(at, "has other values");
        }
        if way == Way::In && new["minimum"].as_f64() > old["minimum"].as_f64() {
            self.say(at, "has a higher minimum");
        }
        self.properties(at, old, new, way);
        self.schema_of_items(at, old, new, way);
    }

    fn schema_of_items(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        if !old["items"].is_null() {
            self.schema(&format!("{at}[]"), &old["items"], &new["items"], way);
        }
        for word in ["oneOf", "anyOf", "allOf"] {
            let (before, after) = (old[word].as_array(), new[word].as_array());
            match (before, after) {
                (None, None) => {}
                (Some(before), Some(after)) if before.len() == after.len() => {
                    for (old, new) in before.iter().zip(after) {
                        self.schema(at, old, new, way);
                    }
                }
                _ => self.say(at, format!("has another {word}")),
            }
        }
    }

    fn properties(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        for (name, property) in members(&old["properties"]) {
            let at = format!("{at}/{name}");
            match new["properties"].get(name) {
                Some(next) => self.schema(&at, property, next, way),
                // What is not known is refused, so this breaks whoever sends it as well.
                None => self.say(&at, "is gone"),
            }
        }
        let (before, after) = (names(&old["required"]), names(&new["required"]));
        let (wrong, what) = match way {
            Way::In => (after.difference(&before), "must be sent now"),
            Way::Out => (before.difference(&after), "need not come any more"),
        };
        for name in wrong {
            self.say(&format!("{at}/{name}"), what);
        }
    }
}

#[test]
fn the_document_breaks_nothing_that_was_approved() {
    let approved = std::fs::read_to_string(approved()).unwrap();
    let broken = breaks(&serde_json::from_str(&approved).unwrap(), &document());
    assert_eq!(broken, Vec::<String>::new(), "a client of the approved document breaks");
}

#[test]
#[ignore = "it writes: for whoever approves what the document says now"]
fn approve_the_document() {
    let text = serde_json::to_string_pretty(&document()).unwrap();
    std::fs::write(approved(), text + "\n").unwrap();
}

/// A document with one operation.
fn small() -> Value {
    json!({
        "paths": { "/a": { "post": {
            "operationId": "a",
            "parameters": [{ "name": "q", "in": "query", "schema": { "type": ["string", "null"] } }],
            "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } },
            "responses": { "200": {
                "headers": { "ETag": {} },
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/B" } } },
            } },
        } } },
        "components": { "schemas": {
            "A": { "type": "object", "required": ["n"], "properties": {
                "n": { "type": "integer", "minimum": 0 },
                "kind": { "type": "string", "enum": ["x", "y"] },
            } },
            "B": { "type": "object", "required": ["m"], "properties": {
                "m": { "type": "integer" },
                "more": { "type": "array", "items": { "$ref": "#/components/schemas/B" } },
            } },
        } },
    })
}

fn changed(pointer: &str, value: Value) -> Vec<String> {
    let (old, mut new) = (small(), small());
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent: &mut Map<String, Value> = new.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(name).unwrap();
    } else {
        parent.insert(name.to_owned(), value);
    }
    breaks(&old, &new)
}

#[test]
fn what_breaks_a_client_is_named() {
    let (operation, schemas) = ("/paths/~1a/post", "/components/schemas");
    for (pointer, value, said) in [
        ("/paths/~1a", Value::Null, "POST /a: is gone"),
        ("/operationId", json!("b"), "POST /a: has another operationId"),
        ("/security", json!([{ "api_key": [] }]), "POST /a: needs a key now"),
        ("/parameters", json!([]), "POST /a: does not take \"q\" any more"),
        ("/requestBody/required", json!(true), "POST /a: demands a body"),
        ("/responses/200", Value::Null, "POST /a: does not answer 200 any more"),
        ("/responses/200/headers/ETag", Value::Null, "POST /a 200: does not say ETag any more"),
        ("/A/required", json!(["n", "kind"]), "POST /a body/kind: must be sent now"),
        ("/A/properties/kind", Value::Null, "POST /a body/kind: is gone"),
        ("/A/properties/kind/enum", json!(["x"]), "POST /a body/kind: has other values"),
        ("/A/properties/n/minimum", json!(1), "POST /a body/n: has a higher minimum"),
        (
            "/A/properties/n/type",
            json!("string"),
            "POST /a body/n: was \"integer\" and is \"string\"",
        ),
        ("/B/required", json!([]), "POST /a 200/m: need not come any more"),
        (
            "/B/properties/m/type",
            json!("number"),
            "POST /a 200/m: was \"integer\" and is \"number\"",
        ),
        ("/B/properties/more", Value::Null, "POST /a 200/more: is gone"),
    ] {
        let place = match &pointer[..2] {
            "/A" | "/B" => format!("{schemas}{pointer}"),
            _ if pointer.starts_with("/paths") => operation.to_owned(),
            _ => format!("{operation}{pointer}"),
        };
        assert_eq!(changed(&place, value), [said], "{pointer}");
    }
}

#[test]
fn what_only_adds_breaks_nobody() {
    let (operation, schemas) = ("/paths/~1a/post", "/components/schemas");
    for (pointer, value) in [
        (format!("{operation}/responses/304"), json!({})),
        (format!("{operation}/parameters"), {
            let more = json!({ "name": "r", "in": "query", "schema": { "type": "string" } });
            json!([small()["paths"]["/a"]["post"]["parameters"][0], more])
        }),
        (format!("{schemas}/A/required"), json!([])),
        (format!("{schemas}/A/properties/kind/enum"), json!(["x", "y", "z"])),
        (format!("{schemas}/A/properties/n/type"), json!("number")),
        (format!("{schemas}/A/properties/o"), json!({ "type": "string" })),
        (format!("{schemas}/B/required"), json!(["m", "more"])),
        (format!("{schemas}/B/properties/o"), json!({ "type": "string" })),
        ("/paths/~1b".to_owned(), json!({ "get": { "operationId": "b" } })),
    ] {
        assert_eq!(changed(&pointer, value), Vec::<String>::new(), "{pointer}");
    }
}
