//! `cargo xtask tidy`: the rules of docs/style.md that no compiler knows.
//!
//! Every rule looks at the whole tree and returns findings. Budgets are a ratchet: an offender
//! listed in `infra/xtask/ratchet.txt` may stay as large as it is written there, not larger.
mod arrows;
mod budgets;
mod contexts;
mod documents;
mod edges;
mod error_codes;
mod landed;
mod ratchet;
mod security;
mod source;
mod tree;

pub use tree::manifests;

use crate::Failure;
use crate::run::say;
use tree::Tree;

/// One breach of one rule.
pub struct Finding {
    rule: &'static str,
    /// `path` or `path:line` or `path fn name`, as the ratchet names it.
    place: String,
    /// How large it is, for budgets; 0 for rules that know no degrees.
    measure: usize,
    says: String,
}

impl Finding {
    fn new(rule: &'static str, place: impl Into<String>, says: impl Into<String>) -> Self {
        Self { rule, place: place.into(), measure: 0, says: says.into() }
    }
}

/// A rule.
type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: [Check; 9] = [
    budgets::check,
    arrows::check,
    contexts::check,
    edges::check,
    documents::check,
    error_codes::check,
    landed::check,
    security::check,
    tree::check,
];

/// Runs every rule; `record` accepts new migrations and golden events, and lowers the ratchet.
pub fn tidy(record: bool) -> Result<(), Failure> {
    let tree = Tree::read()?;
    if record {
        landed::record(&tree)?;
    }
    let findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    if record {
        ratchet::lower(&findings)?;
    }
    let findings = ratchet::beyond(findings)?;
    for finding in &findings {
        println!("{}: {} [{}]", finding.place, finding.says, finding.rule);
    }
    if findings.is_empty() {
        say(&format!("tidy: {} files in order", tree.files.len()));
        return Ok(());
    }
    Err(format!("{} findings; docs/style.md has the reasons", findings.len()))
}
