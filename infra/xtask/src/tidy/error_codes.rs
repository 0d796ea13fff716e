//! Every error code has a page in docs/errors, and every page a code.
use super::Finding;
use super::tree::Tree;
use std::collections::BTreeSet;

const PAGES: &str = "docs/errors/";
const CATALOGUE: &str = "api/src/problem/";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let pages: BTreeSet<&str> = tree
        .below(PAGES)
        .filter_map(|file| file.name().strip_suffix(".md"))
        .filter(|name| *name != "README" && *name != "index")
        .collect();
    let mut codes = BTreeSet::new();
    for file in tree.rust().filter(|file| !file.is_test() && !file.path.starts_with("infra/xtask/"))
    {
        codes.extend(refusal_codes(&file.text));
        if file.path.starts_with(CATALOGUE) {
            codes.extend(file.text.lines().filter_map(catalogue_code));
        }
    }
    let lacking = codes.difference(&pages).map(|code| {
        Finding::new("error-codes", format!("{PAGES}{code}.md"), "this code has no page")
    });
    let orphans = pages.difference(&codes).map(|page| {
        Finding::new("error-codes", format!("{PAGES}{page}.md"), "no code of this name")
    });
    lacking.chain(orphans).collect()
}

/// The string literals that a `fn code(&self)` answers.
fn refusal_codes(source: &str) -> Vec<&str> {
    let mut codes = Vec::new();
    for after in source.split("fn code(&self)").skip(1) {
        let body = after.split("\n    }\n").next().unwrap_or_default();
        let literals = body.split('"').skip(1).step_by(2);
        codes.extend(literals.filter(|text| is_code(text)));
    }
    codes
}

/// `the_code STATUS retryable "title";`, a row of the api's catalogue.
fn catalogue_code(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (code, status, retryable) = (words.next()?, words.next()?, words.next()?);
    let is_status = status.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    (is_code(code) && is_status && matches!(retryable, "true" | "false")).then_some(code)
}

fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{catalogue_code, check, refusal_codes};

    #[test]
    fn a_page_without_a_code_is_found() {
        assert_eq!(check(&Tree::of("docs/errors/no_such_code.md", "")).len(), 1);
    }

    #[test]
    fn codes_are_read_from_refusals_and_from_the_catalogue() {
        let source = "    fn code(&self) -> &'static str {\n        match self {\n            A => \"a_b\",\n        }\n    }\n fn other() { \"c\" }";
        assert_eq!(refusal_codes(source), ["a_b"]);
        assert_eq!(catalogue_code("    no_room CONFLICT true \"No room\";"), Some("no_room"));
        assert_eq!(catalogue_code("    let x = 1;"), None);
    }
}
