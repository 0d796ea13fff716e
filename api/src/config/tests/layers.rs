//! What wins, and that everything which is wrong is told at once, by place and name.
use std::path::Path;

use super::Scene;
use crate::config::settings::{Kind, Setting, settings};
use crate::config::sources::Values;
use crate::config::{Change, Config, Reading, guide};

#[test]
fn a_later_layer_wins_and_its_place_is_known() {
    let text = "[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n[kafka]\nbrokers = \"k:9092\"\ntopic = \"file\"\n[seal]\nevents_max = 7\n";
    let scene = Scene::with_file(text)
        .variable("CAIRN_LISTEN", "127.0.0.1:3")
        .variable("CAIRN_KAFKA_TOPIC", "variable")
        .flag("kafka.topic", "flag");
    let (config, shown) = (scene.read().config().unwrap(), scene.read().shown());
    assert_eq!(config.listen, ["127.0.0.1:3".parse().unwrap()]);
    assert_eq!(config.kafka.unwrap().topic, "flag");
    assert_eq!((config.seal.events_max, config.pool_size), (7, 16));
    let origin = |key: &str| {
        let origin = shown.iter().find(|shown| shown.key == key).unwrap().origin.clone();
        origin.unwrap_or_default().replace(&format!("{}/", scene.directory.path().display()), "")
    };
    let keys = ["server.listen", "kafka.topic", "seal.events_max", "kafka.brokers", "seal.url"];
    let origins = ["CAIRN_LISTEN", "--set", "cairn.toml:7", "cairn.toml:4", ""];
    assert_eq!(keys.map(origin), origins);
    assert_eq!(origin("database.pool_size"), "default");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_where_it_stands() {
    let text = "[server]\nlisten = \"here, 127.0.0.1:1, there\"\nlisen = \"x\"\n\n[seal]\nevents_max = \"7\"\nseconds_max = 0\nurl = \"\"\n[nobody]\nat = 1\n";
    let scene = Scene::with_file(text)
        .variable("CAIRN_POOL_SIZE", "7")
        .variable("CAIRN_LISTN", "127.0.0.1:1")
        .variable("CAIRN_REQUIRE_NODES", "1")
        .variable("AWS_PROFILE", "another program's")
        .flag("seal.event_max", "8")
        .flag("server.public_url", "cairn.example")
        .flag("logging.filter", "info,=;");
    let problems = scene.problems();
    let expected = [
        "cairn.toml:3: server.lisen is no setting: did you mean server.listen",
        "cairn.toml:6: seal.events_max is a text, and must be a number",
        "cairn.toml:10: nobody.at is no setting",
        "cairn.toml:8: seal.url is empty: leave it out",
        "CAIRN_LISTN is no variable of Cairn's: did you mean CAIRN_LISTEN",
        "--set seal.event_max is no setting: did you mean seal.events_max",
        "--set logging.filter='info,=;' is not a filter such as",
        "cairn.toml:7: seal.seconds_max='0' is not a number of seconds from 1 to 86400",
        "cairn.toml:2: server.listen='here' is not an address such as 127.0.0.1:8080",
        "cairn.toml:2: server.listen='there' is not an address such as 127.0.0.1:8080",
        "--set server.public_url='cairn.example' is not an address such as https",
        "CAIRN_POOL_SIZE='7' is not a number of at least 8",
    ];
    for expected in expected {
        let found = problems.iter().filter(|problem| problem.starts_with(expected)).count();
        assert_eq!(found, 1, "{expected}: {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn a_text_that_is_no_toml_is_told_line_by_line_and_nothing_else_is() {
    let scene = Scene::with_file("[server]\nlisten = [\n\n[seal]\nevents_max = 1 2\nlisten = 3\n");
    let problems = scene.problems();
    assert!(!problems.is_empty());
    assert!(problems.iter().all(|problem| problem.starts_with("cairn.toml:")), "{problems:?}");
    assert!(!problems.iter().any(|problem| problem.contains("no setting")), "{problems:?}");
    let twice = Scene::with_file("[seal]\nevents_max = 1\nevents_max = 2\n").problems();
    assert!(twice[0].starts_with("cairn.toml:3: duplicate key"), "{twice:?}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let mut scene = Scene::with_file("");
    assert!(scene.read().config().is_ok());
    scene.sources.file = Some(scene.directory.path().join("none.toml"));
    assert!(scene.problems()[0].starts_with("none.toml cannot be read"));
    scene.sources.file = None;
    let none = scene.directory.path().join("other.toml");
    let scene = scene.variable("CAIRN_CONFIG", none.display().to_string());
    assert!(scene.problems()[0].starts_with("other.toml cannot be read"));
}

#[test]
fn what_kubernetes_tells_of_a_service_of_this_name_is_no_stranger() {
    let links = ["CAIRN_SERVICE_HOST", "CAIRN_API_SERVICE_PORT_HTTP", "CAIRN_PORT"];
    for name in links.into_iter().chain(["CAIRN_PORT_8080_TCP", "CAIRN_PORT_8080_TCP_ADDR"]) {
        assert!(Scene::with_file("").variable(name, "10.0.0.1").read().config().is_ok(), "{name}");
        let known = settings().iter().any(|setting| setting.variable == name);
        assert!(!known, "{name} is a setting");
    }
}

#[test]
fn every_setting_has_its_own_name_and_somebody_reads_it() {
    let mut names: Vec<_> = settings().iter().map(|it| it.key.to_string()).collect();
    names.extend(settings().iter().map(|it| it.variable.to_owned()));
    names.extend(settings().iter().flat_map(|it| [it.key_file(), it.variable_file()]).flatten());
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two settings have one name");
    let reading = Reading::of_lookup(|name| Some(name.to_owned()));
    let mut values = Values { said: reading.said.clone(), problems: vec![] };
    assert!(values.said.len() > settings().len() / 2);
    let _ = Config::read(&mut values, None);
    assert!(values.said.is_empty(), "nobody reads {:?}", values.said.keys());
}

#[test]
fn every_default_and_every_example_is_what_it_must_be() {
    for setting in settings().iter().filter(|setting| !setting.is_vendors()) {
        let (section, _) = setting.parts();
        assert!(!setting.example.is_empty(), "{}", setting.key);
        assert!(setting.default.is_some() == setting.without.is_empty(), "{}", setting.key);
        // Lists in one order are said together, or not at all.
        let with = |it: &&Setting| {
            it.key == setting.key || section == "sign_in" && it.parts().0 == section
        };
        let lines = settings().iter().filter(with).map(|it| {
            let quote = if matches!(it.kind, Kind::Number(..)) { "" } else { "\"" };
            format!("{} = {quote}{}{quote}\n", it.parts().1, it.example)
        });
        let text = format!("[{section}]\n{}", lines.collect::<String>());
        let read = Reading::of_text(Path::new("example.toml"), &text).config();
        assert!(read.is_ok(), "{text}{:?}", read.err());
    }
}

#[test]
fn the_guide_lists_the_settings_as_they_are() {
    let page = include_str!("../../../../docs/guides/configuration.md");
    assert!(page.contains(&guide()), "put this into docs/guides/configuration.md:\n{}", guide());
}

#[test]
fn of_a_later_reading_only_what_may_change_is_taken_up_and_the_rest_is_named() {
    let text = |pool: u32, filter: &str| {
        format!("[database]\npool_size = {pool}\n[logging]\nfilter = \"{filter}\"\n")
    };
    let scene = Scene::with_file(&text(16, "warn"));
    let mut now = scene.read();
    scene.file("cairn.toml", &text(20, "debug"), 0o600);
    let later = scene.read();
    let reload = now.reloaded(&later).unwrap();
    let names = |changes: &[Change]| -> Vec<_> {
        changes.iter().map(|it| format!("{} {} {}", it.key, it.from, it.to)).collect()
    };
    assert_eq!(names(&reload.changes), ["logging.filter warn debug"]);
    assert_eq!(names(&reload.refused), ["database.pool_size 16 20"]);
    assert!(reload.changes[0].said_in.ends_with("cairn.toml:4"));
    now.take(&later, "logging.filter");
    let again = now.reloaded(&later).unwrap();
    assert_eq!((again.changes.len(), again.refused.len()), (0, 1), "what was refused stays so");
    scene.file("cairn.toml", &text(7, "info"), 0o600);
    assert!(now.reloaded(&scene.read()).is_err(), "of what is wrong nothing is taken up");
}
