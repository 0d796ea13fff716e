//! Old offenders may stay, none may grow.
use super::Finding;
use crate::Failure;
use crate::run::root;
use std::fmt::Write as _;
use std::fs;

const FILE: &str = "infra/xtask/ratchet.txt";
const HEAD: &str =
    "# rule | place | largest size allowed. Only ever lower a number or remove a line.\n";

struct Allowance {
    rule: String,
    place: String,
    most: usize,
}

/// The findings that no allowance covers, and allowances that cover nothing any more.
pub fn beyond(findings: Vec<Finding>) -> Result<Vec<Finding>, Failure> {
    let allowances = read()?;
    let mut left: Vec<Finding> = allowances
        .iter()
        .filter(|allowance| !findings.iter().any(|finding| allowance.is_about(finding)))
        .map(|it| {
            Finding::new("ratchet", FILE, format!("{} is in order: remove its line", it.place))
        })
        .collect();
    left.extend(findings.into_iter().filter(|finding| {
        !allowances.iter().any(|it| it.is_about(finding) && finding.measure <= it.most)
    }));
    Ok(left)
}

/// Writes every allowance as small as it can be.
pub fn lower(findings: &[Finding]) -> Result<(), Failure> {
    let allowances = read()?;
    if allowances.is_empty() {
        return Ok(());
    }
    let mut text = HEAD.to_owned();
    for it in &allowances {
        if let Some(finding) = findings.iter().find(|finding| it.is_about(finding)) {
            let most = it.most.min(finding.measure);
            let _ = writeln!(text, "{} | {} | {most}", it.rule, it.place);
        }
    }
    fs::write(root().join(FILE), text).map_err(|error| format!("{FILE}: {error}"))
}

impl Allowance {
    fn is_about(&self, finding: &Finding) -> bool {
        self.rule == finding.rule && self.place == finding.place
    }
}

fn read() -> Result<Vec<Allowance>, Failure> {
    let text = fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| parse(line).ok_or_else(|| format!("{FILE}: cannot read: {line}"))).collect()
}

fn parse(line: &str) -> Option<Allowance> {
    let mut parts = line.split('|').map(str::trim);
    let (rule, place) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some(Allowance { rule, place, most: parts.next()?.parse().ok()? })
}
