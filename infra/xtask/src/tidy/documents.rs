//! Links in documents lead somewhere.
use super::Finding;
use super::tree::{File, Tree};

pub fn check(tree: &Tree) -> Vec<Finding> {
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    pages.flat_map(|page| dead_links(tree, page)).collect()
}

fn dead_links(tree: &Tree, page: &File) -> Vec<Finding> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (number, line) in page.text.lines().enumerate() {
        for target in links(line) {
            let path = target.split('#').next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:");
            if outside || path.is_empty() {
                continue;
            }
            let from_top = path.strip_prefix('/').map(str::to_owned);
            let resolved = from_top.unwrap_or_else(|| format!("{folder}/{path}"));
            if !tree.has(resolved.trim_start_matches('/')) {
                let place = format!("{}:{}", page.path, number + 1);
                findings.push(Finding::new("links", place, format!("{target} does not exist")));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` in a line, code excepted.
fn links(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, tail)) = after.split_once(')') else { break };
        let in_code = before.matches('`').count() % 2 == 1;
        if !in_code && !target.contains(' ') {
            targets.push(target);
        }
        rest = tail;
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{check, links};

    #[test]
    fn a_link_to_nowhere_is_found() {
        let says = |text: &str| check(&Tree::of("docs/adr/x.md", text)).len();
        assert_eq!(says("[a](nowhere.md) [b](https://example.org) [c](#here)"), 1);
        assert_eq!(says("[up](../../README.md)"), 0);
    }

    #[test]
    fn every_link_of_a_line_is_found() {
        assert_eq!(links("[a](b.md), [c](d#e) and `[x](y)`"), ["b.md", "d#e"]);
    }
}
