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
    ] {
        let said = desk.run(line, variables);
        assert_eq!(said.code, 5, "{}", said.talk);
        assert!(said.talk.contains(&format!("there is no Cairn in {used}:")), "{}", said.talk);
    }
}
