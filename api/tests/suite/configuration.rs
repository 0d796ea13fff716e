//! The configuration of a process: what it is read from, and that a wrong one starts nothing.
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A directory that commands run in, with nothing in their environment.
struct Desk(TempDir);

struct Said {
    code: i32,
    data: String,
    talk: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file that others may read or not.
    fn file(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.path().join(name), text).unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path().join(name), permissions).unwrap();
    }

    fn run(&self, line: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        let output = command.env("PATH", env!("PATH")).envs(variables.to_vec()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Said { code, data: text(output.stdout), talk: text(output.stderr) }
    }
}

#[test]
fn a_wrong_configuration_starts_nothing_and_everything_is_told() {
    let desk = Desk::new();
    desk.file("cairn.toml", "[server]\nlisten = \"here\"\n[seal]\nevent_max = 1\n", 0o644);
    let said = desk.run("serve --set kafka.topik=t", &[("CAIRN_POOL_SIZE", "1")]);
    assert_eq!((said.code, &*said.data), (2, ""), "{}", said.talk);
    for expected in [
        "the configuration is wrong in 4 places",
        "- cairn.toml:2: server.listen='here' is not an address",
        "- cairn.toml:4: seal.event_max is no setting: did you mean seal.events_max",
        "- --set kafka.topik is no setting: did you mean kafka.topic",
        "- CAIRN_POOL_SIZE='1' is not a number of at least 8",
    ] {
        assert!(said.talk.contains(expected), "{expected}: {}", said.talk);
    }
    let said = desk.run("keys list --output json", &[]);
    let error: Value = serde_json::from_str(&said.talk).unwrap();
    assert_eq!((said.code, &error["error"]["code"]), (2, &Value::from("config_invalid")));
    assert!(!desk.path().join(".cairn").exists());
    assert_eq!(desk.run("completions bash", &[]).code, 0, "needs no configuration");
}

#[test]
fn the_file_is_the_one_that_was_named_or_the_one_that_is_there() {
    let desk = Desk::new();
    let data = |name: &str| format!("[data]\ndirectory = \"{name}\"\n");
    for name in ["cairn", "variable", "flag"] {
        desk.file(&format!("{name}.toml"), &data(name), 0o644);
    }
    let variable = [("CAIRN_CONFIG", "variable.toml")];
    for (line, variables, used) in [
        ("keys list", &[][..], "cairn"),
        ("keys list", &variable[..], "variable"),
        ("--config flag.toml keys list", &variable[..], "flag"),
        ("keys list --config flag.toml --set data.directory=set", &[][..], "set"),
        ("--set data.directory=set keys list --set kafka.topic=t", &[][..], "set"),
        ("--set=data.directory=first keys --set data.directory=last list", &[][..], "last"),
    ] {
        let said = desk.run(line, variables);
        assert_eq!(said.code, 5, "{}", said.talk);
        assert!(said.talk.contains(&format!("there is no Cairn in {used}:")), "{}", said.talk);
    }
}

#[test]
fn settings_are_shown_with_their_places_and_without_their_secrets() {
    let desk = Desk::new();
    desk.file("cairn.toml", "[seal]\nevents_max = 7\n[stripe]\nsecret_key = \"hush\"\n", 0o600);
    let variables = [("DATABASE_URL", "postgres://u:hush@h/d")];
    let said = desk.run("config show --origin --output json", &variables);
    assert_eq!(said.code, 0, "{}", said.talk);
    let rows: Vec<Value> = serde_json::from_str(&said.data).unwrap();
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap();
    let expected = [
        ("database.url", "postgres://…", "DATABASE_URL"),
        ("stripe.secret_key", "…", "cairn.toml:4"),
        ("seal.events_max", "7", "cairn.toml:2"),
        ("kafka.topic", "cairn.events", "default"),
    ];
    for (key, value, origin) in expected {
        assert_eq!((&row(key)["value"], &row(key)["origin"]), (&value.into(), &origin.into()));
    }
    assert!(!said.data.contains("hush"));
    let plain = desk.run("config show", &variables);
    assert!(plain.data.contains("postgres://…") && !plain.data.contains("cairn.toml:4"));
    let wrong = desk.run("config show --origin --set seal.events_max=0", &[]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.data.contains("--set"), "what is wrong is shown as well: {}", wrong.data);
    let listed = desk.run("config settings --output json", &[]);
    assert!(listed.data.contains("AWS_SECRET_ACCESS_KEY"), "{}", listed.data);
}

#[test]
fn a_check_tells_everything_of_every_file_and_of_nothing_else() {
    let desk = Desk::new();
    for purpose in ["development", "test", "production"] {
        let template = desk.run(&format!("config template {purpose}"), &[]);
        desk.file(&format!("{purpose}.toml"), &template.data, 0o644);
    }
    let unrelated = [("CAIRN_POOL_SIZE", "1")];
    let said = desk.run("config check development.toml test.toml production.toml", &unrelated);
    assert_eq!(said.code, 0, "{}", said.talk);
    assert_eq!(desk.run("config check", &unrelated).code, 2, "here the variable counts");
    let here = desk.run("config check --config production.toml", &[]);
    assert_eq!(here.code, 2, "here the files of secrets count");
    assert!(here.talk.contains("database.url_file: /etc/cairn/secrets/database_url cannot be"));
    desk.file("one.toml", "[seal]\nevents_max = 0\n", 0o644);
    desk.file("two.toml", "kafka.topik = 1\n", 0o644);
    let said = desk.run("config check one.toml two.toml test.toml none.toml --output json", &[]);
    let checked: Value = serde_json::from_str(&said.data).unwrap();
    assert_eq!(said.code, 2);
    let ok: Vec<_> = checked.as_array().unwrap().iter().map(|it| it["ok"].clone()).collect();
    assert_eq!(ok, [false, false, true, false]);
    assert_eq!(checked[0]["problems"][0]["origin"], "one.toml:2");
    assert!(said.talk.contains("two.toml:1: kafka.topik is no setting"), "{}", said.talk);
    assert!(said.talk.contains("none.toml cannot be read"), "{}", said.talk);
}

#[test]
fn files_that_are_not_alike_differ() {
    let desk = Desk::new();
    for purpose in ["test", "production"] {
        let template = desk.run(&format!("config template {purpose}"), &[]);
        desk.file(&format!("{purpose}.toml"), &template.data, 0o644);
    }
    let alike = desk.run("config parity test.toml test.toml", &[]);
    assert_eq!(alike.code, 0, "{}", alike.talk);
    let differ = desk.run("config parity test.toml production.toml --output json", &[]);
    assert_eq!(differ.code, 7, "{}", differ.talk);
    let rows: Vec<Value> = serde_json::from_str(&differ.data).unwrap();
    let url = rows.iter().find(|row| row["key"] == "database.url").unwrap();
    assert_eq!((&url["one"], &url["other"]), (&Value::Null, &"a file of its own".into()));
    assert!(!rows.iter().any(|row| row["key"] == "database.pool_size"), "both name it");
    assert_eq!(desk.run("config parity test.toml none.toml", &[]).code, 2);
}
