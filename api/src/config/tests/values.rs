//! What a configuration comes to, value by value.
use cairn_fleet::LateUsage;

use crate::config::Config;

#[test]
fn an_empty_environment_is_enough() {
    let config = Config::from_lookup(|_| None).unwrap();
    assert_eq!(config.listen[0].to_string(), "127.0.0.1:8080");
    assert!(config.database_url.is_none() && config.stripe.is_none());
    assert_eq!(config.ssh_source_addresses, []);
}

#[test]
fn public_events_go_nowhere_unless_brokers_are_named() {
    let read = |variables: &'static [(&str, &str)]| {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Config::from_lookup(|name| find(name).map(|(_, value)| (*value).to_owned())).unwrap()
    };
    assert_eq!(read(&[("CAIRN_KAFKA_TOPIC", "t")]).kafka, None);
    let kafka = read(&[("CAIRN_KAFKA_BROKERS", "k1:9092,k2:9092")]).kafka.unwrap();
    assert_eq!((&*kafka.brokers, &*kafka.topic), ("k1:9092,k2:9092", "cairn.events"));
}

#[test]
fn time_that_is_proven_late_is_forgiven_unless_it_is_to_be_charged() {
    let read = |late: Option<&'static str>| {
        Config::from_lookup(|name| match name {
            "CAIRN_USAGE_LATE" => late.map(str::to_owned),
            "CAIRN_USAGE_CUTOFF_HOURS" => Some("2".to_owned()),
            _ => None,
        })
    };
    assert_eq!(read(None).unwrap().late_usage, LateUsage::Forgive);
    let charge = LateUsage::Charge { cutoff_seconds: 7_200 };
    assert_eq!(read(Some("charge")).unwrap().late_usage, charge);
    let wrong = read(Some("perhaps")).unwrap_err().to_string();
    assert!(wrong.contains("forgive or charge"), "{wrong}");
}

#[test]
fn the_log_is_in_postgresql_unless_a_cluster_is_named_and_its_password_is_never_shown() {
    let read = |url: &'static str| {
        Config::from_lookup(|name| (name == "CAIRN_LOG_URL").then(|| url.to_owned()))
    };
    assert_eq!(Config::from_lookup(|_| None).unwrap().log_url, None);
    for url in ["esdb://admin:hush@one,two:2113", "esdb+discover://admin:hush@cluster:2113"] {
        let config = read(url).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(config.log_url.as_ref().unwrap().expose(), url);
        assert_eq!(config.within(std::path::Path::new("/demo")).log_url, None);
    }
    for url in ["http://admin:hush@one", "nowhere", "esdb://admin:hush@one?tls=perhaps"] {
        let error = read(url).unwrap_err().to_string();
        assert!(error.starts_with("CAIRN_LOG_URL='"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn who_may_ask_and_who_is_believed_is_read_exactly() {
    let read = |name: &'static str, value: &'static str| {
        Config::from_lookup(|asked| (asked == name).then(|| value.to_owned()))
    };
    let origins = read("CAIRN_CORS_ORIGINS", "https://a.example, http://localhost:5173").unwrap();
    assert_eq!(origins.cors_origins.0, ["https://a.example", "http://localhost:5173"]);
    let proxies = read("CAIRN_TRUSTED_PROXIES", "192.0.2.7, 10.0.0.0/8, fd00::/8").unwrap();
    assert_eq!(proxies.trusted_proxies.len(), 3);
    for (name, wrong) in [
        ("CAIRN_CORS_ORIGINS", "*"),
        ("CAIRN_CORS_ORIGINS", "null"),
        ("CAIRN_CORS_ORIGINS", "https://a.example/"),
        ("CAIRN_CORS_ORIGINS", "a.example"),
        ("CAIRN_TRUSTED_PROXIES", "everybody"),
        ("CAIRN_RATE_LIMITS", "read=fast"),
    ] {
        let said = read(name, wrong).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{name}='{wrong}' is not ")), "{said}");
    }
}

#[test]
fn a_wrong_value_is_named() {
    let error = Config::from_lookup(|name| (name == "CAIRN_LISTEN").then(|| "here".to_owned()))
        .unwrap_err();
    assert!(error.to_string().contains("CAIRN_LISTEN='here'"));
}

#[test]
fn a_pool_too_small_to_work_with_is_refused_by_name() {
    let read = |text: &'static str| {
        Config::from_lookup(|name| (name == "CAIRN_POOL_SIZE").then(|| text.to_owned()))
    };
    assert_eq!(read("8").unwrap().pool_size, 8);
    for value in ["7", "0", "many"] {
        let error = read(value).unwrap_err().to_string();
        assert!(
            error.contains(&format!("CAIRN_POOL_SIZE='{value}' is not a number of at least 8")),
            "{error}"
        );
    }
}

#[test]
fn another_log_is_sealed_next_to_its_data_and_told_nobody() {
    let config = Config::from_lookup(|name| match name {
        "CAIRN_SEAL_URL" => Some("file:///srv/seals".to_owned()),
        "CAIRN_ARCHIVE_URL" => Some("file:///srv/archive".to_owned()),
        "CAIRN_KAFKA_BROKERS" => Some("localhost:9092".to_owned()),
        "CAIRN_PRIVACY_KEY" => Some("/etc/cairn/privacy.key".to_owned()),
        _ => None,
    });
    let own = config.unwrap().within(std::path::Path::new("/demo"));
    assert!(own.kafka.is_none() && own.seal.url.is_none() && own.archive.is_none());
    for path in [&own.data, &own.seal.keys, &own.seal.file, &own.masters.file] {
        assert!(path.starts_with("/demo"), "{path:?}");
    }
}

#[test]
fn how_to_seal_is_within_bounds_and_next_to_the_data() {
    let seal =
        Config::from_lookup(|name| (name == "CAIRN_DATA").then(|| "/d".to_owned())).unwrap().seal;
    assert_eq!((seal.events_max, seal.after.as_secs()), (1_024, 60));
    assert_eq!(seal.file.to_str(), Some("/d/seal/published.ndjson"));
    for (variable, value) in [
        ("CAIRN_SEAL_EVENTS", "0"),
        ("CAIRN_SEAL_EVENTS", "65537"),
        ("CAIRN_SEAL_SECONDS", "never"),
        ("CAIRN_SEAL_URL", "nowhere"),
        ("CAIRN_SEAL_URL", "memory:///"),
        ("CAIRN_ARCHIVE_URL", "nowhere"),
        ("CAIRN_ARCHIVE_SEGMENT_EVENTS", "0"),
    ] {
        let error = Config::from_lookup(|name| (name == variable).then(|| value.to_owned()));
        assert!(error.unwrap_err().to_string().starts_with(&format!("{variable}='{value}'")));
    }
}

#[test]
fn an_archive_may_be_in_any_store_and_its_credentials_are_never_shown() {
    let read = |url: &'static str| {
        Config::from_lookup(|name| match name {
            "CAIRN_ARCHIVE_URL" => Some(url.to_owned()),
            "AWS_ACCESS_KEY_ID" => Some("reader".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush".to_owned()),
            "AZURE_STORAGE_ACCOUNT_NAME" => Some("account".to_owned()),
            _ => None,
        })
    };
    for url in ["file:///srv/cairn", "s3://bucket/cairn", "gs://bucket/cairn", "az://box/cairn"] {
        let config = read(url).unwrap();
        assert_eq!(config.archive.as_ref().unwrap().place.url(), url);
        assert!(!format!("{config:?}").contains("hush"), "{url}");
    }
    assert!(Config::from_lookup(|_| None).unwrap().archive.is_none());
}

#[test]
fn source_addresses_are_addresses_and_networks() {
    let read = |text: &'static str| {
        Config::from_lookup(|name| (name == "CAIRN_SSH_SOURCE_ADDRESSES").then(|| text.to_owned()))
    };
    let found = read("192.0.2.7, 2001:db8::/32").unwrap().ssh_source_addresses;
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["192.0.2.7", "2001:db8::/32"]);
    let error = read("192.0.2.7,192.0.2.7/24").unwrap_err().to_string();
    assert!(error.contains("CAIRN_SSH_SOURCE_ADDRESSES='192.0.2.7/24'"), "{error}");
}
