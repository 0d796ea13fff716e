//! Secrets may stand in files of their own, and are never shown.
use super::Scene;
use crate::config::settings::{Kind, settings};

const HUSH: &str = "hush";

#[test]
fn a_secret_may_stand_in_a_file_and_its_last_line_ends_there() {
    let scene = Scene::with_file("[stripe]\nsecret_key = \"sk_test_plain\"\n");
    let key = scene.file("key", "sk_test_hush\n", 0o640);
    let scene = scene.variable("STRIPE_SECRET_KEY_FILE", key);
    let hooks = scene.file("hooks", "whsec_new, whsec_old\r\n", 0o600);
    let scene = scene.flag("stripe.webhook_secrets_file", hooks);
    let stripe = scene.read().config().unwrap().stripe.unwrap();
    assert_eq!(stripe.secret_key, "sk_test_hush", "the environment wins over the file");
    assert_eq!(stripe.webhook_secrets, ["whsec_new", "whsec_old"]);
    let shown = scene.read().shown();
    let shown = shown.iter().find(|shown| shown.key == "stripe.secret_key").unwrap();
    assert_eq!(shown.value.as_deref(), Some("…"));
    assert!(shown.origin.as_ref().unwrap().starts_with("STRIPE_SECRET_KEY_FILE, in /"));
}

#[test]
fn a_secret_and_its_file_are_not_both_said_in_one_place() {
    let scene =
        Scene::with_file("[stripe]\nsecret_key = \"hush\"\nsecret_key_file = \"hush-file\"\n");
    let problems = scene.problems();
    assert!(
        problems[0].starts_with(
            "cairn.toml:3: stripe.secret_key_file and cairn.toml:2: stripe.secret_key are both said"
        ),
        "{problems:?}"
    );
}

#[test]
fn a_file_of_secrets_that_cannot_be_trusted_is_refused_by_name() {
    let scene = Scene::with_file("");
    let open = scene.file("open", HUSH, 0o604);
    let empty = scene.file("empty", "\n", 0o600);
    let long = scene.file("long", &"x".repeat(70_000), 0o600);
    let scene = scene
        .variable("STRIPE_SECRET_KEY_FILE", open)
        .variable("DATABASE_URL_FILE", "/nowhere/secret")
        .variable("STRIPE_WEBHOOK_SECRET_FILE", empty)
        .flag("event_log.url_file", long);
    let mut problems = scene.problems();
    problems.sort();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[0].starts_with("--set event_log.url_file: long is longer than"));
    assert!(problems[1].starts_with("DATABASE_URL_FILE: /nowhere/secret cannot be read"));
    assert!(problems[2].contains("open is open to everybody on this machine: `chmod o= "));
    assert!(problems[3].contains("STRIPE_WEBHOOK_SECRET_FILE: empty is empty"));
}

#[test]
fn a_file_with_a_secret_in_it_is_for_nobody_else() {
    let scene = Scene::with_file("");
    scene.file("cairn.toml", "[stripe]\nsecret_key = \"hush\"\n", 0o644);
    let problems = scene.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("cairn.toml:2: stripe.secret_key is a secret in a file"));
    scene.file("cairn.toml", "[kafka]\ntopic = \"t\"\n", 0o644);
    assert!(scene.read().config().is_ok(), "what is no secret may be read by everybody");
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let problems = Scene::with_file("").flag("stripe.secret_key", HUSH).problems();
    assert!(problems[0].contains("--set stripe.secret_key_file=FILE, or STRIPE_SECRET_KEY"));
    assert!(!problems[0].contains(HUSH), "{problems:?}");
}

#[test]
fn no_secret_is_ever_shown_whether_it_is_right_or_wrong() {
    let mut told = String::new();
    for secret in settings().iter().filter(|setting| setting.secret) {
        for value in [HUSH, "postgres://u:hush@h/d", "esdb://u:hush@h:2113", "http://hush@h?hush"] {
            let scene = Scene::with_file("").variable(secret.variable, value);
            told += &format!("{:?}", scene.read().shown());
            match scene.read().config() {
                Ok(config) => told += &format!("{config:?}"),
                Err(errors) => told += &format!("{errors} {errors:?}"),
            }
        }
    }
    assert!(told.contains("Config {") && told.contains("is not an address"), "{told}");
    assert!(!told.contains(HUSH), "{told}");
    let addresses = settings().iter().filter(|it| it.kind == Kind::Text && !it.secret);
    for setting in addresses {
        let scene = Scene::with_file("").variable(setting.variable, "ftp://me:hush@host/path");
        let shown = format!("{:?} {:?}", scene.read().shown(), scene.read().config().err());
        assert!(shown.contains("ftp://…@host/path") && !shown.contains(HUSH), "{shown}");
    }
}
