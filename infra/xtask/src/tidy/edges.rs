//! Where the environment may be read, who may write the log, what may not be left lying about, and
//! whose paths may not be named.
use super::Finding;
use super::source::{blanked, tokens};
use super::tree::{File, Tree};

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.rust().flat_map(environment).collect();
    findings.extend(tree.rust().flat_map(unchecked_queries));
    findings.extend(tree.rust().flat_map(log_writers));
    findings.extend(tree.files.iter().flat_map(leftovers));
    findings
}

/// Only api, the mains of programs, xtask and tests read the environment, and the one question that tests ask the testbed.
fn environment(file: &File) -> Vec<Finding> {
    let allowed = file.path.starts_with("api/")
        || file.path.starts_with("infra/xtask/")
        || file.path == "infra/testbed/src/availability.rs"
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

/// SQL that stands in the source is checked by the macro; only SQL that is put together may not be.
fn unchecked_queries(file: &File) -> Vec<Finding> {
    if file.is_test() {
        return vec![];
    }
    let source = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut findings = Vec::new();
    for (at, _) in source.match_indices("sqlx::query") {
        let rest = source[at + "sqlx::query".len()..].trim_start_matches("_as");
        let rest = rest.trim_start_matches("_scalar");
        let rest = if rest.starts_with("::<") {
            rest.split_once('(').map(|it| it.1)
        } else {
            rest.strip_prefix('(')
        };
        let argument = rest.unwrap_or_default().trim_start();
        if argument.starts_with('"') || argument.starts_with("r\"") || argument.starts_with("r#") {
            let line = 1 + source[..at].matches('\n').count();
            let place = format!("{}:{line}", file.path);
            findings.push(Finding::new("checked-sql", place, "static SQL: use the checked macro"));
        }
    }
    findings
}

/// Tables that only the functions of the log's migrations write.
const LOG: [&str; 9] = [
    "events",
    "commands",
    "log_head",
    "log_segments",
    "ledger_accounts",
    "ledger_journal_transactions",
    "ledger_postings",
    "ledger_balances",
    "ledger_holds",
];

/// Only `infra/event-log` writes events, by the functions that hold the log's order and the books' balance.
fn log_writers(file: &File) -> Vec<Finding> {
    if file.is_test() || file.path.starts_with("infra/event-log/") {
        return vec![];
    }
    let source = file.text.split("#[cfg(test)]").next().unwrap_or_default().to_lowercase();
    let words: Vec<_> = tokens(&source)
        .into_iter()
        .filter(|it| !["\"", "public", ".", "only"].contains(it))
        .collect();
    let writes = words.windows(3).filter(|it| match it {
        ["insert" | "merge", "into", table] | [_, "update", table] => LOG.contains(table),
        _ => false,
    });
    writes
        .map(|it| {
            let says = format!("{}: only infra/event-log writes the log", it[2]);
            Finding::new("log-writers", &file.path, says)
        })
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

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::check;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Tree::of(path, text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn the_environment_is_read_in_its_home_only() {
        let reads = "fn f() { std::env::var(\"X\"); }";
        assert_eq!(rules("commands/src/a.rs", reads), ["environment"]);
        assert_eq!(rules("api/src/config.rs", reads), [""; 0]);
        assert_eq!(rules("infra/testbed/src/availability.rs", reads), [""; 0]);
        assert_eq!(rules("infra/testbed/src/node.rs", reads), ["environment"]);
        assert_eq!(rules("commands/src/a.rs", "// env::var\n"), [""; 0]);
    }

    #[test]
    fn the_log_is_written_by_its_own_crate_only() {
        for writes in
            ["INSERT INTO events (a)", "insert into\n  public.commands", "UPDATE log_head SET"]
        {
            let source = format!("fn f() {{ run(\"{writes}\"); }}");
            assert_eq!(rules("commands/src/a.rs", &source), ["log-writers"], "{writes}");
            assert_eq!(rules("infra/event-log/src/a.rs", &source), [""; 0]);
            assert_eq!(rules("commands/tests/a.rs", &source), [""; 0]);
        }
        let reads = "fn f() { run(\"SELECT FROM events; INSERT INTO events_seen\"); }";
        assert_eq!(rules("commands/src/a.rs", reads), [""; 0]);
    }

    #[test]
    fn static_sql_goes_through_the_macro() {
        let said = |argument: &str| format!("fn f() {{ sqlx::query_as::<_, A>({argument}); }}");
        assert_eq!(rules("commands/src/a.rs", &said("\"SELECT 1\"")), ["checked-sql"]);
        assert_eq!(rules("commands/src/a.rs", &said("&built")), [""; 0]);
        assert_eq!(rules("commands/src/a.rs", "sqlx::query!(\"SELECT 1\")"), [""; 0]);
    }
}
