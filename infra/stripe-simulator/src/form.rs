//! Form-encoded requests with nested keys, as Stripe reads them: `metadata[key]=v`, `expand[]=a`, `expand[0]=a`, `created[gte]=1`.
use serde_json::{Map, Value};

/// A form or query as a tree of objects and texts; lists are objects whose keys are numbers, see [`list`].
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut root = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        let path = path(&key)?;
        insert(&mut root, &path, value)?;
    }
    Ok(Value::Object(root))
}

/// The texts of a list, in the order of their numbers.
pub(crate) fn list(value: &Value) -> Vec<String> {
    let Some(items) = value.as_object() else { return Vec::new() };
    let mut items: Vec<_> = items
        .iter()
        .filter_map(|(key, item)| Some((key.parse::<usize>().ok()?, item.as_str()?.to_owned())))
        .collect();
    items.sort();
    items.into_iter().map(|(_, item)| item).collect()
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
                hex::decode(digits).map_err(|_| format!("'{text}' is not well encoded"))?[0]
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("'{text}' is not UTF-8"))
}

fn path(key: &str) -> Result<Vec<String>, String> {
    let (first, rest) =
        key.split_once('[').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let mut path = vec![first.to_owned()];
    if let Some(rest) = rest {
        let inner = rest.strip_suffix(']').ok_or_else(|| format!("Invalid parameter: {key}"))?;
        path.extend(inner.split("][").map(str::to_owned));
    }
    Ok(path)
}

fn insert(node: &mut Map<String, Value>, path: &[String], value: String) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else { return Ok(()) };
    let key = if key.is_empty() { node.len().to_string() } else { key.clone() };
    if rest.is_empty() {
        node.insert(key, Value::String(value));
        return Ok(());
    }
    let child = node.entry(key).or_insert_with(|| Value::Object(Map::new()));
    let child = child.as_object_mut().ok_or_else(|| format!("Invalid object: {}", path[0]))?;
    insert(child, rest, value)
}

#[cfg(test)]
mod tests {
    use super::{list, parse};
    use serde_json::json;

    #[test]
    fn nested_keys_become_a_tree() {
        let tree = parse("amount=1250&metadata[cairn%20id]=a+b%26c&created%5Bgte%5D=7").unwrap();
        let expected =
            json!({"amount": "1250", "metadata": {"cairn id": "a b&c"}, "created": {"gte": "7"}});
        assert_eq!(tree, expected);
    }

    #[test]
    fn lists_may_be_numbered_or_not() {
        for text in ["expand[]=a&expand[]=b", "expand[1]=b&expand[0]=a"] {
            assert_eq!(list(&parse(text).unwrap()["expand"]), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn broken_forms_are_refused() {
        for text in ["a=%zz", "a=%f", "a[b=1", "a=%ff", "a=1&a[b]=2"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
