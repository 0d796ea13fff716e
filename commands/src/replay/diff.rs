//! What differs between two JSON values.
use serde::Serialize;
use serde_json::Value;

/// One place that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Members joined by `.`, elements of a list as `[0]`.
    pub path: String,
    /// What was there; null when nothing was.
    pub before: Value,
    /// What is there; null when nothing is.
    pub after: Value,
}

impl Change {
    /// Whether it is at a path, around it or within it.
    #[must_use]
    pub fn touches(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        within(&self.path, path) || within(path, &self.path)
    }
}

/// Every place that differs, in the order of the members' names. What only one side has is one place, however deep it is.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = vec![];
    walk("", before, after, &mut found);
    found
}

fn walk(path: &str, before: &Value, after: &Value, found: &mut Vec<Change>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            let mut names: Vec<_> = old.keys().chain(added).collect();
            names.sort();
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                let (old, new) = (old.get(name), new.get(name));
                let path = format!("{path}{dot}{name}");
                walk(&path, old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for at in 0..old.len().max(new.len()) {
                let (old, new) = (old.get(at), new.get(at));
                let path = format!("{path}[{at}]");
                walk(&path, old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null), found);
            }
        }
        _ => found.push(Change {
            path: path.to_owned(),
            before: before.clone(),
            after: after.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::changes;

    #[test]
    fn every_place_that_differs_is_named_once() {
        let before = json!({ "a": 1, "b": { "c": [1, 2], "d": null }, "same": "x" });
        let after = json!({ "a": 2, "b": { "c": [1, 3, 4] }, "new": { "e": true }, "same": "x" });
        let found = changes(&before, &after);
        let found: Vec<_> =
            found.iter().map(|c| format!("{} {}→{}", c.path, c.before, c.after)).collect();
        assert_eq!(
            found,
            ["a 1→2", "b.c[1] 2→3", "b.c[2] null→4", "new null→{\"e\":true}"],
            "a null and a missing member say the same"
        );
        assert!(changes(&after, &after).is_empty());
        assert!(changes(&before, &after)[1].touches("b.c") && found.len() == 4);
        assert!(!changes(&before, &after)[1].touches("b.c[10]"), "[1] is not [10]");
    }
}
