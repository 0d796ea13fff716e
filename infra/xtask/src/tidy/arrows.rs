//! Every arrow points towards `domain`: which crate may depend on which.
use super::Finding;
use super::tree::{File, Tree};

/// What would let time, chance or the world into a decision.
const IMPURE: [&str; 10] =
    ["tokio", "sqlx", "getrandom", "rand", "reqwest", "axum", "russh", "uuid", "chrono", "tracing"];

/// What projections may know beside the domain.
const PROJECTIONS: [&str; 3] = ["documents", "event-log", "spans"];

/// What commands may know beside the domain.
const COMMANDS: [&str; 4] = ["event-log", "neighbours", "spans", "tasks"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let manifests: Vec<_> = tree.manifests().collect();
    let mut findings: Vec<Finding> = manifests.iter().flat_map(|file| renames(file)).collect();
    let (top, rooms): (Vec<&File>, _) =
        manifests.into_iter().partition(|file| file.path == "Cargo.toml");
    findings.extend(rooms.iter().flat_map(|file| manifest(file)));
    findings.extend(top.iter().flat_map(|file| unused(file, &rooms)));
    findings
}

/// A crate goes by its own name, or no rule would know it.
fn renames(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, line) in dependency_lines(&file.text) {
        let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        if words.contains(&"package") {
            let says = format!("{}: a dependency goes by its own name", line.trim());
            findings.push(Finding::new("arrows", &file.path, says));
        }
    }
    findings
}

/// What the workspace offers and no room takes.
fn unused(top: &File, rooms: &[&File]) -> Vec<Finding> {
    let taken: Vec<_> = rooms.iter().flat_map(|file| dependencies(&file.text)).collect();
    let offered = dependencies(&top.text).into_iter().map(|(_, name)| name);
    let idle = offered.filter(|name| taken.iter().all(|(_, other)| other != name));
    idle.map(|name| Finding::new("arrows", &top.path, format!("{name}: nobody depends on it")))
        .collect()
}

fn manifest(file: &File) -> Vec<Finding> {
    let room = file.path.trim_end_matches("/Cargo.toml");
    let mut findings = Vec::new();
    for (section, name) in dependencies(&file.text) {
        let test_only = section.ends_with("dev-dependencies");
        let why = if test_only { refused_in_tests(room, name) } else { refused(room, name) };
        if let Some(why) = why {
            findings.push(Finding::new("arrows", &file.path, format!("{name}: {why}")));
        }
    }
    findings
}

/// The names in every table of dependencies, with the table's own name. A crate may have a table
/// of its own: `[dependencies.name]`.
fn dependencies(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (section, line) in dependency_lines(text) {
        let name = match section.rsplit_once("dependencies.") {
            Some((_, name)) => name,
            None => line.split(['.', '=', ' ']).next().unwrap_or_default(),
        };
        let name = name.trim_matches(['"', '\'']);
        if !name.is_empty() && found.last() != Some(&(section, name)) {
            found.push((section, name));
        }
    }
    found
}

/// Every line that says something in a table of dependencies, with the table's name.
fn dependency_lines(text: &str) -> Vec<(&str, &str)> {
    let (mut section, mut found) = ("", Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default().trim();
        } else if !line.is_empty() && !line.starts_with('#') {
            let ours = section.ends_with("dependencies") || section.contains("dependencies.");
            found.extend(ours.then_some((section, line)));
        }
    }
    found
}

/// Why this room may not build on this crate.
fn refused(room: &str, name: &str) -> Option<&'static str> {
    let ours = name.strip_prefix("cairn-");
    match room {
        "domain/core" if ours.is_some() => Some("the kernel knows nobody"),
        _ if room.starts_with("domain/") => match ours {
            Some("core") => None,
            Some(_) => Some("a context knows only core: two contexts meet in a process"),
            None => IMPURE.contains(&name).then_some("the domain is pure"),
        },
        "commands" if is_domain(ours?) || COMMANDS.contains(&ours?) => None,
        "commands" => {
            Some("commands know domain, the log and how neighbours are called; the rest is a port")
        }
        "projections" if is_domain(ours?) || PROJECTIONS.contains(&ours?) => None,
        "projections" => Some("projections know domain, the log and what documents are made of"),
        "infra/event-log" if !matches!(ours?, "core" | "tasks") => {
            Some("the log knows core only, and how work is run")
        }
        "infra/neighbours" if !matches!(ours?, "core" | "spans") => {
            Some("how neighbours are called knows core only, and what is traced")
        }
        "infra/bank" if !matches!(ours?, "core" | "finance") => {
            Some("a reader of statements knows what a statement is, and nothing else")
        }
        "infra/documents" if ours? != "core" => {
            Some("a document knows values, not where they are from")
        }
        "infra/cluster"
        | "infra/eventstore-simulator"
        | "infra/node"
        | "infra/oidc"
        | "infra/seal"
        | "infra/spans"
        | "infra/stripe-simulator"
        | "infra/tasks"
            if ours.is_some() =>
        {
            Some("stands alone: it knows nothing of Cairn's inside")
        }
        "infra/eventstore" if !matches!(ours?, "core" | "event-log" | "neighbours") => {
            Some("a carrier of the log knows the log only")
        }
        "infra/sealer" if !matches!(ours?, "event-log" | "neighbours" | "seal") => {
            Some("the sealer knows the log and what a seal is")
        }
        "infra/archive" if !matches!(ours?, "event-log" | "seal" | "sealer") => {
            Some("the archive knows the log and its seals")
        }
        "infra/xtask" if ours? != "cluster" => Some("xtask stays quick to compile"),
        "replay-tests" if ours? == "api" => Some("replay tests know everything but the api"),
        _ if room.starts_with("infra/") && ours? == "api" => Some("only main knows the api"),
        _ => None,
    }
}

fn refused_in_tests(room: &str, name: &str) -> Option<&'static str> {
    let strangers = [("commands", "cairn-projections"), ("projections", "cairn-commands")];
    strangers.contains(&(room, name)).then_some("commands and projections do not know each other")
}

fn is_domain(name: &str) -> bool {
    crate::run::root().join("domain").join(name).is_dir()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{check, dependencies, refused};

    #[test]
    fn a_context_may_not_know_its_neighbour() {
        assert!(refused("domain/compute", "cairn-ledger").is_some());
        assert!(refused("domain/compute", "cairn-core").is_none());
        assert!(refused("domain/compute", "tokio").is_some());
        assert!(refused("commands", "cairn-stripe").is_some());
        assert!(refused("commands", "cairn-ledger").is_none());
        assert!(refused("api", "cairn-stripe").is_none());
    }

    #[test]
    fn names_are_read_in_every_spelling() {
        let text = "[dependencies]\na.workspace = true\nb = \"1\"\n# c\n[dev-dependencies]\nd = { path = \"x\" }\n";
        let names: Vec<_> = dependencies(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "b", "d"]);
        let text = "[dependencies.e]\nworkspace = true\nfeatures = []\n[target.'cfg(unix)'.dependencies]\nf = \"1\"\n";
        let names: Vec<_> = dependencies(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["e", "f"]);
    }

    #[test]
    fn an_arrow_cannot_hide_behind_a_table_or_a_name() {
        let found = |text: &str| check(&Tree::of("domain/compute/Cargo.toml", text)).len();
        assert_eq!(found("[dependencies.cairn-ledger]\nworkspace = true\n"), 1);
        assert_eq!(found("[dependencies]\nbooks = { package = \"cairn-ledger\" }\n"), 1);
        assert_eq!(found("[dependencies.books]\npackage = \"cairn-ledger\"\n"), 1);
        assert_eq!(found("[dependencies.cairn-core]\nworkspace = true\n"), 0);
    }

    #[test]
    fn what_nobody_takes_is_not_offered() {
        let mut tree = Tree::of("Cargo.toml", "[workspace.dependencies]\na = \"1\"\nb = \"1\"\n");
        tree.files.extend(Tree::of("api/Cargo.toml", "[dependencies]\na.workspace = true\n").files);
        let says: Vec<_> = check(&tree).into_iter().map(|finding| finding.says).collect();
        assert_eq!(says, ["b: nobody depends on it"]);
    }
}
