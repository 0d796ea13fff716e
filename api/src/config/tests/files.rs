//! Files to begin with, and files that are compared.
use std::path::Path;

use super::Scene;
use crate::config::parity::parity;
use crate::config::settings::settings;
use crate::config::template::{DEVELOPMENT, PRODUCTION, TEST, Template, render};
use crate::config::{ConfigErrors, Reading};

const TEMPLATES: [(&str, Template); 3] =
    [("development", DEVELOPMENT), ("test", TEST), ("production", PRODUCTION)];

fn wrong(text: &str) -> Option<ConfigErrors> {
    Reading::of_text(Path::new("t.toml"), text).config().err()
}

#[test]
fn every_template_is_right_says_what_it_should_and_names_every_setting() {
    for (name, template) in TEMPLATES {
        let text = render(name, template);
        assert_eq!(wrong(&text), None, "{text}");
        let reading = Reading::of_text(Path::new("t.toml"), &text);
        let explicit = reading.said.values().filter(|said| said.is_explicit()).count();
        assert_eq!(explicit, template.len(), "{text}");
        for setting in settings().iter().filter(|setting| !setting.is_vendors()) {
            let (_, name) = setting.parts();
            let names = |line: &str| line.trim_start_matches("# ").starts_with(name);
            assert!(text.lines().any(names), "{name}: {text}");
        }
    }
}

#[test]
fn what_a_template_has_as_a_comment_may_be_said() {
    for (name, template) in TEMPLATES {
        let text = render(name, template);
        let lines = text.lines().map(|line| {
            let said = line.strip_prefix("# ").filter(|rest| {
                rest.starts_with('[')
                    || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
            });
            said.unwrap_or(line)
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(text.contains("\ntopic = \"cairn.events\""), "{text}");
        assert_eq!(wrong(&text), None, "{text}");
    }
}

#[test]
fn files_are_compared_by_what_they_name_and_how_and_no_secret_is_told() {
    let scene = Scene::with_file("");
    let one = scene.file(
        "one.toml",
        "[stripe]\nsecret_key = \"sk_test_hush\"\nwebhook_secrets = \"whsec_hush\"\n[seal]\nurl = \"file:///a\"\nevents_max = 5\n[kafka]\nbrokers = \"a:1\"\n",
        0o600,
    );
    let other = scene.file(
        "other.toml",
        "[stripe]\nsecret_key_file = \"/none\"\nwebhook_secrets = [\"whsec_other\"]\n[seal]\nurl = \"s3://b/c\"\nevents_max = 6\n[database]\nurl_file = \"/none\"\n",
        0o600,
    );
    let differences = parity(Path::new(&one), Path::new(&other)).unwrap();
    let told: Vec<_> = differences
        .iter()
        .map(|it| (it.key, it.one.as_deref().unwrap_or("-"), it.other.as_deref().unwrap_or("-")))
        .collect();
    let expected = [
        ("database.url", "-", "a file of its own"),
        ("stripe.secret_key", "a text", "a file of its own"),
        ("kafka.brokers", "a list of texts", "-"),
        ("seal.url", "an address file://", "an address s3://"),
    ];
    assert_eq!(told, expected);
    assert_eq!(parity(Path::new(&one), Path::new(&one)).unwrap(), []);
    assert!(!format!("{differences:?}").contains("hush"));
    let broken = scene.file("broken.toml", "[seal]\nevents = 1\n", 0o600);
    let ConfigErrors(problems) = parity(Path::new(&broken), Path::new(&broken)).unwrap_err();
    assert_eq!(problems.len(), 2);
}
