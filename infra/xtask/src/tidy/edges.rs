//! Where the environment may be read, what may not be left lying about, and whose paths may not
//! be named.
use super::Finding;
use super::source::{blanked, tokens};
use super::tree::{File, Tree};

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.rust().flat_map(environment).collect();
    findings.extend(tree.files.iter().flat_map(leftovers));
    findings
}

/// Only api, the mains of programs, xtask and tests read the environment.
fn environment(file: &File) -> Vec<Finding> {
    let allowed = file.path.starts_with("api/")
        || file.path.starts_with("infra/xtask/")
        || file.path.ends_with("src/main.rs")
        || file.path.contains("/src/bin/")
        || file.is_test();
    if allowed {
        return vec![];
    }
    let source = blanked(&file.text);
    let reads = ["var", "var_os", "vars", "vars_os", "set_var", "remove_var"];
    let words = tokens(&source);
    let found =
        words.windows(3).filter(|it| it[0] == "env" && it[1] == "::" && reads.contains(&it[2]));
    found
        .map(|_| Finding::new("environment", &file.path, "only api and programs' mains read it"))
        .collect()
}

fn leftovers(file: &File) -> Vec<Finding> {
    // Spelled in parts, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK:")];
    let places = [concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, number + 1);
        if file.is_rust() && marks.iter().any(|mark| line.contains(mark)) {
            findings.push(Finding::new("leftovers", &place, "do it, or open an issue"));
        }
        if places.iter().any(|it| line.contains(it)) && file.path != "Cargo.lock" {
            findings.push(Finding::new("leftovers", &place, "a path of somebody's own machine"));
        }
    }
    findings
}
