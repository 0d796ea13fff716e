//! Contexts are columns: inside commands, projections and api, none names another's module.
use super::Finding;
use super::source::{blanked, tokens};
use super::tree::Tree;
use crate::run::root;
use std::fs;

/// Folders whose children are contexts, and the path of modules that leads to them.
const ROWS: [(&str, &[&str]); 4] = [
    ("commands/src/", &["crate"]),
    ("projections/src/", &["crate"]),
    ("api/src/http/", &["crate", "http"]),
    ("api/src/cli/", &["crate", "cli"]),
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let contexts = contexts();
    let mut findings = Vec::new();
    for (folder, modules) in ROWS {
        for file in tree.below(folder).filter(|file| file.is_rust()) {
            let rest = file.path[folder.len()..].trim_end_matches(".rs");
            let own = rest.split('/').next().unwrap_or_default();
            if !contexts.iter().any(|context| context == own) {
                continue;
            }
            let inner = rest.split('/').filter(|part| *part != "mod").count();
            let source = blanked(&file.text);
            for name in named(&tokens(&source), modules, inner) {
                if name != own && contexts.iter().any(|context| context == name) {
                    let says = format!("names {name}: two contexts meet in processes");
                    findings.push(Finding::new("contexts", &file.path, says));
                }
            }
        }
    }
    findings
}

/// Every folder of `domain` but the kernel.
fn contexts() -> Vec<String> {
    let entries = fs::read_dir(root().join("domain")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "core").collect()
}

/// The modules named right below the row, be it by a path, a group, or `super`.
fn named<'a>(tokens: &[&'a str], modules: &[&str], inner: usize) -> Vec<&'a str> {
    let join = |words: &[&'static str]| words.join(" :: ");
    let climbs = join(&vec!["super"; inner]);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        for prefix in [modules.join(" :: "), climbs.clone()] {
            let words: Vec<&str> = prefix.split(' ').collect();
            let follows = tokens[at..].starts_with(&words);
            if follows && (at == 0 || tokens[at - 1] != "::") {
                found.extend(children(&tokens[at + words.len()..]));
            }
        }
    }
    found
}

/// `::name`, or every name at the first level of `::{…}`.
fn children<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    match tokens {
        ["::", "{", rest @ ..] => {
            let (mut depth, mut previous, mut names) = (1, "{", Vec::new());
            for token in rest {
                match *token {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    name if depth == 1 && matches!(previous, "{" | ",") => names.push(name),
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                previous = token;
            }
            names
        }
        ["::", name, ..] => vec![name],
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::tokens;
    use super::named;

    #[test]
    fn a_neighbour_is_seen_however_it_is_named() {
        let seen = |source: &str| named(&tokens(source), &["crate"], 2).join(" ");
        assert_eq!(seen("use crate::ledger::x;"), "ledger");
        assert_eq!(seen("use crate::{ports::{ledger}, fleet::x, row};"), "ports fleet row");
        assert_eq!(seen("super::super::payments::get()"), "payments");
        assert_eq!(seen("use cairn_ledger::ledger;"), "");
    }
}
