//! One screen: how long a file and a function may be, and how a file begins.
use super::Finding;
use super::source::{blanked, functions};
use super::tree::{File, Tree};

const FILE_LINES_MAX: usize = 500;
const ROOT_LINES_MAX: usize = 80;
const FUNCTION_LINES_MAX: usize = 70;
const ARCHITECTURE_LINES_MAX: usize = 200;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.rust().flat_map(file).collect();
    for page in tree.files.iter().filter(|file| file.path == "docs/ARCHITECTURE.md") {
        findings.extend(too_long(page, ARCHITECTURE_LINES_MAX));
    }
    findings
}

fn file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.text.starts_with("//!") {
        findings.push(Finding::new("opens-with-doc", &file.path, "must open with //!"));
    }
    let is_root = matches!(file.name(), "lib.rs" | "mod.rs") && !file.is_test();
    findings.extend(too_long(file, if is_root { ROOT_LINES_MAX } else { FILE_LINES_MAX }));
    for function in functions(&blanked(&file.text)) {
        if function.lines > FUNCTION_LINES_MAX {
            findings.push(Finding {
                rule: "function-lines",
                place: format!("{} fn {}", file.path, function.name),
                measure: function.lines,
                says: format!("line {}: {} lines", function.line, function.lines),
            });
        }
    }
    findings
}

fn too_long(file: &File, most: usize) -> Option<Finding> {
    let lines = file.text.lines().count();
    (lines > most).then(|| Finding {
        rule: "file-lines",
        place: file.path.clone(),
        measure: lines,
        says: format!("{lines} lines, at most {most}"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::check;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Tree::of(path, text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn what_is_too_long_or_opens_silently_is_found() {
        let lines = |count: usize| format!("//! Doc.\n{}", "// line\n".repeat(count - 1));
        assert_eq!(rules("a/src/b.rs", &lines(500)), [""; 0]);
        assert_eq!(rules("a/src/b.rs", &lines(501)), ["file-lines"]);
        assert_eq!(rules("a/src/lib.rs", &lines(81)), ["file-lines"]);
        assert_eq!(rules("a/src/b.rs", "use x;\n"), ["opens-with-doc"]);
        let long = format!("//! Doc.\nfn f() {{\n{}}}\n", "    g();\n".repeat(69));
        assert_eq!(rules("a/src/b.rs", &long), ["function-lines"]);
    }
}
