//! docs/security.md: each requirement of the ASVS 5.0.0, levels 1 and 2, stands there once, and what it names exists.
use super::Finding;
use super::tree::Tree;
use std::collections::BTreeMap;

const PAGE: &str = "docs/security.md";

/// Sections, and how many of their requirements are of level 1 or 2: they are the first of each section.
const SECTIONS: &[(&str, u32)] = &[
    ("1.1", 2),
    ("1.2", 9),
    ("1.3", 11),
    ("1.4", 3),
    ("1.5", 2),
    ("2.1", 3),
    ("2.2", 3),
    ("2.3", 4),
    ("2.4", 1),
    ("3.2", 2),
    ("3.3", 4),
    ("3.4", 6),
    ("3.5", 5),
    ("3.7", 2),
    ("4.1", 3),
    ("4.2", 1),
    ("4.3", 2),
    ("4.4", 4),
    ("5.1", 1),
    ("5.2", 3),
    ("5.3", 2),
    ("5.4", 3),
    ("6.1", 3),
    ("6.2", 12),
    ("6.3", 4),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 3),
    ("6.8", 4),
    ("7.1", 3),
    ("7.2", 4),
    ("7.3", 2),
    ("7.4", 5),
    ("7.5", 2),
    ("7.6", 2),
    ("8.1", 2),
    ("8.2", 3),
    ("8.3", 1),
    ("8.4", 1),
    ("9.1", 3),
    ("9.2", 4),
    ("10.1", 2),
    ("10.2", 2),
    ("10.3", 4),
    ("10.4", 11),
    ("10.5", 5),
    ("10.6", 2),
    ("10.7", 3),
    ("11.1", 2),
    ("11.2", 3),
    ("11.3", 3),
    ("11.4", 4),
    ("11.5", 1),
    ("11.6", 1),
    ("12.1", 3),
    ("12.2", 2),
    ("12.3", 4),
    ("13.1", 1),
    ("13.2", 5),
    ("13.3", 2),
    ("13.4", 5),
    ("14.1", 2),
    ("14.2", 4),
    ("14.3", 3),
    ("15.1", 3),
    ("15.2", 3),
    ("15.3", 7),
    ("16.1", 1),
    ("16.2", 5),
    ("16.3", 4),
    ("16.4", 3),
    ("16.5", 3),
    ("17.1", 1),
    ("17.2", 4),
    ("17.3", 2),
];

const VERDICTS: [&str; 5] = ["met", "otherwise", "n/a", "outside", "not yet"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.files.iter().find(|file| file.path == PAGE) else { return vec![] };
    let (mut findings, mut told) = (vec![], BTreeMap::<String, u32>::new());
    for (number, line) in page.text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [ids, verdict, how] = cells[..] else { continue };
        if !ids.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        let mut wrong = |says: String| {
            findings.push(Finding::new("security", format!("{PAGE}:{}", number + 1), says))
        };
        for id in expand(ids) {
            *told.entry(id).or_default() += 1;
        }
        if !VERDICTS.contains(&verdict) {
            wrong(format!("'{verdict}' is no verdict"));
        }
        let named: Vec<&str> =
            how.split('`').skip(1).step_by(2).filter(|word| is_path(word)).collect();
        named.iter().filter_map(|word| missing(tree, word)).for_each(&mut wrong);
        if verdict == "met" && named.is_empty() && !how.contains("Rust's types") {
            wrong("met, and nothing is named that says so".to_owned());
        }
    }
    let all = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |it| format!("{section}.{it}")));
    let all: Vec<String> = all.collect();
    for id in &all {
        if told.get(id) != Some(&1) {
            let times = told.get(id).copied().unwrap_or_default();
            findings.push(Finding::new(
                "security",
                PAGE,
                format!("{id} stands there {times} times"),
            ));
        }
    }
    let unknown = told.keys().filter(|id| !all.contains(id));
    findings.extend(
        unknown.map(|id| Finding::new("security", PAGE, format!("{id} is none of level 1 or 2"))),
    );
    findings
}

/// `6.2.1–12` is twelve of them.
fn expand(ids: &str) -> Vec<String> {
    let Some((first, last)) = ids.split_once('–') else { return vec![ids.to_owned()] };
    let Some((section, first)) = first.rsplit_once('.') else { return vec![] };
    let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else { return vec![] };
    (first..=last).map(|number| format!("{section}.{number}")).collect()
}

fn is_path(word: &str) -> bool {
    let path = word.split("::").next().unwrap_or_default();
    !path.contains(' ')
        && [".rs", ".md", ".toml", ".json", ".yml", ".lock"].iter().any(|end| path.ends_with(end))
}

/// What is not there of `path` or `path::test`.
fn missing(tree: &Tree, word: &str) -> Option<String> {
    let (path, test) =
        word.split_once("::").map_or((word, None), |(path, test)| (path, Some(test)));
    if !tree.has(path) {
        return Some(format!("{path} does not exist"));
    }
    let test = test?;
    let file = tree.files.iter().find(|file| file.path == path)?;
    let there = file.text.contains(&format!("fn {test}("));
    (!there).then(|| format!("{path} has no test {test}"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{SECTIONS, check, expand};

    #[test]
    fn there_are_253_requirements_of_levels_1_and_2() {
        assert_eq!(SECTIONS.iter().map(|(_, count)| count).sum::<u32>(), 253);
        assert_eq!(expand("6.2.9–12"), ["6.2.9", "6.2.10", "6.2.11", "6.2.12"]);
    }

    #[test]
    fn what_is_missing_doubled_or_made_up_is_found() {
        let page = "| 1.1.1 | met | `no/such.rs` |\n| 1.1.1 | fine | x |\n| 1.1.3 | n/a | x |\n| 1.1.2 | met | x |\n";
        let found = check(&Tree::of("docs/security.md", page));
        let says = |text: &str| found.iter().any(|finding| finding.says.contains(text));
        for text in [
            "no/such.rs does not exist",
            "'fine' is no verdict",
            "1.1.1 stands there 2 times",
            "1.1.3 is none of level 1 or 2",
            "nothing is named that says so",
            "17.3.2 stands there 0 times",
        ] {
            assert!(says(text), "{text}");
        }
    }
}
