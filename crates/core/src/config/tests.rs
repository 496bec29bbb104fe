//! Configurations as people write them.

use std::time::Duration;

use super::*;
use crate::browser::BrowserKind;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn env(variables: &[(&str, &str)]) -> Sources {
    Sources { env: pairs(variables), ..Sources::default() }
}

fn file(text: &str) -> Sources {
    let file = File { name: "flotilla.toml".to_owned(), text: text.to_owned() };
    Sources { file: Some(file), ..Sources::default() }
}

fn errors(sources: &Sources) -> Vec<String> {
    Config::load(sources).unwrap_err().iter().map(ToString::to_string).collect()
}

fn only_error(sources: &Sources) -> String {
    let errors = errors(sources);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors[0].clone()
}

#[test]
fn nothing_set_is_the_default() {
    let loaded = Config::load(&Sources::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.entries.len(), settings().count());
    assert!(loaded.notes.is_empty());
    assert!(loaded.entries.iter().all(|entry| entry.origin == Origin::Default && !entry.changed));
}

#[test]
fn the_documents_defaults_hold() {
    let config = Config::default();
    assert_eq!(config.listen.port, 8080);
    assert_eq!(config.sessions.max_concurrent_sessions, 5);
    assert_eq!(config.browsers.max_lifetime_sessions, 50);
    assert_eq!(config.browsers.default_browser, BrowserKind::Chromium);
    assert_eq!(config.timing.heartbeat_interval, Duration::from_secs(5));
    assert_eq!(config.timing.redis_key_ttl, Duration::from_secs(60));
    assert_eq!(config.timing.shutdown_command_ttl, Duration::from_secs(60));
    assert_eq!(config.timing.reaper_run_interval, Duration::from_secs(300));
    assert_eq!(config.timing.drain_timeout, Duration::from_secs(300));
    assert_eq!(config.timing.worker_select_timeout, Duration::from_secs(5));
    assert_eq!(config.log.log_format, LogFormat::Json);
}

#[test]
fn the_stronger_source_wins_and_is_named() {
    let mut sources = file("port = 1\nqueue_limit = 7\nmax_concurrent_sessions = 8");
    sources.env = pairs(&[("PORT", "2"), ("MAX_CONCURRENT_SESSIONS", "9")]);
    sources.flags = pairs(&[("port", "3")]);
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(loaded.config.listen.port, 3);
    assert_eq!(loaded.config.sessions.max_concurrent_sessions, 9);
    assert_eq!(loaded.config.sessions.queue_limit, 7);
    let origin = |key| rules::entry(&loaded.entries, key).unwrap().origin.to_string();
    assert_eq!(origin("port"), "flag --port");
    assert_eq!(origin("max_concurrent_sessions"), "env MAX_CONCURRENT_SESSIONS");
    assert_eq!(origin("queue_limit"), "file flotilla.toml");
    assert_eq!(origin("host"), "default");
}

#[test]
fn an_empty_variable_is_not_set() {
    let loaded = Config::load(&env(&[("PORT", ""), ("REDIS_HOST", " ")])).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn machine_defaults_count_as_defaults() {
    let machine = vec![("data", "/home/me/.local/share/flotilla".to_owned())];
    let loaded = Config::load(&Sources { machine, ..Sources::default() }).unwrap();
    assert_eq!(loaded.config.places.data.to_str(), Some("/home/me/.local/share/flotilla"));
    assert!(loaded.entries.iter().all(|entry| !entry.changed));
}

#[test]
fn a_value_of_the_wrong_kind_says_what_is_allowed() {
    assert_eq!(
        only_error(&env(&[("PORT", "eighty")])),
        "PORT: \"eighty\" is not a port: write a number from 0 to 65535"
    );
    assert_eq!(
        only_error(&file("\nmax_concurrent_sessions = 0")),
        "flotilla.toml:2: max_concurrent_sessions: \"0\" is not a number within its bounds: \
         write a number from 1 to 1000"
    );
    let flags = pairs(&[("default_browser", "netscape")]);
    assert_eq!(
        only_error(&Sources { flags, ..Sources::default() }),
        "--default-browser: \"netscape\" is not a browser: write chromium, firefox or webkit"
    );
}

#[test]
fn every_error_is_shown_at_once() {
    let mut sources = file("prot = 1\nqueue_limit = \"many\"");
    sources.env = pairs(&[("PORT", "x"), ("HEARTBEAT_INTERVAL", "60")]);
    let errors = errors(&sources);
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert_eq!(errors[0], "flotilla.toml:1: there is no setting \"prot\": did you mean \"port\"?");
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let error = only_error(&file("port = 1\nhost = \n"));
    assert!(error.starts_with("flotilla.toml:2: this is not TOML"), "{error}");
    let errors = errors(&file("prot = 1\n[queue]\nlimit = 1"));
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("flotilla.toml:2: queue cannot be a table"), "{errors:#?}");
}

#[test]
fn durations_and_sizes_have_units_and_plain_numbers() {
    let loaded = Config::load(&env(&[
        ("HEARTBEAT_INTERVAL", "500ms"),
        ("REDIS_KEY_TTL", "90"),
        ("DRAIN_TIMEOUT", "1h"),
        ("FLOTILLA_HANDSHAKE_LIMIT", "64KiB"),
        ("FLOTILLA_MAX_BROWSER_MEMORY", "1000000"),
        ("FLOTILLA_SESSION_MAX_DURATION", "5m"),
    ]))
    .unwrap();
    let Config { timing, browsers, listen, sessions, .. } = loaded.config;
    assert_eq!(timing.heartbeat_interval, Duration::from_millis(500));
    assert_eq!(timing.redis_key_ttl, Duration::from_secs(90));
    assert_eq!(timing.drain_timeout, Duration::from_secs(3600));
    assert_eq!(listen.handshake_limit, 65536);
    assert_eq!(browsers.max_browser_memory, 1_000_000);
    assert_eq!(sessions.session_max_duration, Some(Duration::from_secs(300)));
    for wrong in ["5 parsecs", "-1", "1.5", "s", "99999999999999999999h", "1h30m"] {
        assert!(Config::load(&env(&[("DRAIN_TIMEOUT", wrong)])).is_err(), "{wrong}");
    }
    assert!(Config::load(&env(&[("HEARTBEAT_INTERVAL", "0")])).is_err());
}

#[test]
fn lists_have_commas_or_are_arrays() {
    let a = Config::load(&env(&[("BROWSER_TYPE", "firefox, chromium")])).unwrap();
    let b = Config::load(&file("browsers = [\"firefox\", \"chromium\"]")).unwrap();
    assert_eq!(a.config, b.config);
    assert_eq!(a.config.browsers.browsers, [BrowserKind::Firefox, BrowserKind::Chromium]);
    let none = file("allowed_launch_options = []");
    assert!(Config::load(&none).unwrap().config.sessions.allowed_launch_options.is_empty());
    let versions = Config::load(&file("versions = [1.65, \"1.64\"]")).unwrap().config;
    assert_eq!(versions.browsers.versions[0].to_string(), "1.65");
}

#[test]
fn the_heartbeat_must_stay_below_what_remembers_it() {
    let error = only_error(&env(&[("HEARTBEAT_INTERVAL", "30"), ("REDIS_KEY_TTL", "30")]));
    for part in [
        "heartbeat_interval < redis_key_ttl does not hold",
        "heartbeat_interval is 30s (env HEARTBEAT_INTERVAL)",
        "redis_key_ttl is 30s (env REDIS_KEY_TTL)",
        "raise REDIS_KEY_TTL first",
        "lower HEARTBEAT_INTERVAL first",
    ] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    let error = only_error(&env(&[("SHUTDOWN_COMMAND_TTL", "5")]));
    assert!(error.contains("heartbeat_interval < shutdown_command_ttl"), "{error}");
    assert!(error.contains("heartbeat_interval is 5s (default)"), "{error}");
}

#[test]
fn every_timing_rule_is_checked_at_load() {
    for (variables, rule) in [
        (&[("WORKER_SELECT_TIMEOUT", "15")][..], "worker_select_timeout < 15s"),
        (&[("FLOTILLA_PING_INTERVAL", "1m")][..], "ping_interval < peer_timeout"),
        (&[("REDIS_KEY_TTL", "5")][..], "heartbeat_interval < redis_key_ttl"),
        (&[("SHUTDOWN_COMMAND_TTL", "5")][..], "heartbeat_interval < shutdown_command_ttl"),
    ] {
        let error = only_error(&env(variables));
        assert!(error.starts_with(rule), "{error}");
    }
}

#[test]
fn other_machines_are_let_in_only_on_purpose() {
    for host in ["0.0.0.0", "::", "192.168.1.4", "grid.internal"] {
        let error = only_error(&env(&[("FLOTILLA_HOST", host)]));
        assert!(error.contains(host) && error.contains("--allow-anyone"), "{error}");
        let allowed = env(&[("FLOTILLA_HOST", host), ("FLOTILLA_ALLOW_ANYONE", "true")]);
        assert!(Config::load(&allowed).is_ok());
    }
    for host in ["127.0.0.1", "127.8.8.8", "::1", "localhost"] {
        assert!(Config::load(&env(&[("FLOTILLA_HOST", host)])).is_ok(), "{host}");
    }
}

#[test]
fn where_clients_reach_a_worker_is_an_address_and_a_slot_is_not_kept_for_long() {
    let worker = |name: &str, value: &str| Sources {
        role: Role::Worker,
        ..env(&[
            ("REDIS_HOST", "redis"),
            ("FLOTILLA_FLEET_SECRET", "the-secret-of-the-fleet"),
            (name, value),
        ])
    };
    for address in ["ws://127.0.0.1:{port}", "wss://grid.example.com/worker-1", "ws://[::1]:1"] {
        assert!(Config::load(&worker("FLOTILLA_PUBLIC_ENDPOINT", address)).is_ok(), "{address}");
    }
    for address in ["worker-1:3131", "http://worker-1", "ws://", "ws://w/?a=b", "ws://w /"] {
        let error = only_error(&worker("FLOTILLA_PUBLIC_ENDPOINT", address));
        assert!(error.contains("ws://worker-1.example.com:3131"), "{error}");
    }
    assert!(Config::load(&worker("FLOTILLA_RESERVATION_TIMEOUT", "60s")).is_ok());
    let error = only_error(&worker("FLOTILLA_RESERVATION_TIMEOUT", "61s"));
    assert!(error.contains("60 s at most"), "{error}");
}

#[test]
fn the_default_browser_follows_the_browsers_unless_it_was_set() {
    let loaded = Config::load(&env(&[("BROWSER_TYPE", "firefox")])).unwrap();
    assert_eq!(loaded.config.browsers.default_browser, BrowserKind::Firefox);
    assert_eq!(rules::entry(&loaded.entries, "default_browser").unwrap().value, "firefox");
    let set = env(&[("BROWSER_TYPE", "firefox"), ("DEFAULT_BROWSER_TYPE", "chromium")]);
    assert!(only_error(&set).contains("default_browser is chromium (env DEFAULT_BROWSER_TYPE)"));
    let version = env(&[("FLOTILLA_VERSIONS", "1.64"), ("FLOTILLA_DEFAULT_VERSION", "1.65")]);
    assert!(only_error(&version).contains("default_version is 1.65"));
}

#[test]
fn a_credential_is_shown_nowhere() {
    let url = "redis://:hunter2@redis:6379";
    let loaded = Config::load(&env(&[("REDIS_URL", url)])).unwrap();
    assert_eq!(loaded.config.redis.redis_url.as_ref().unwrap().reveal(), url);
    let shown = format!(
        "{:?} {:#?} {} {} {}",
        loaded,
        loaded.config,
        loaded.table(false),
        loaded.json(false),
        loaded.table(true)
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(loaded.table(true).contains("hidden"));
    let other = Config::load(&env(&[("REDIS_URL", "redis://:other@redis")])).unwrap();
    assert_eq!(loaded.hash(), other.hash());
    let error = only_error(&file("redis_url = [\"redis://:hunter2@x\"]"));
    assert!(error.contains("hidden is not") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_is_set_in_vain_is_said_aloud() {
    let sources = env(&[
        ("REDIS_HOST", "redis"),
        ("REDIS_KEY_TTL", "90"),
        ("FLOTILLA_PORT", "1"),
        ("FLOTILLA_QUEUE_LIMITS", "1"),
        ("FLOTILLA_SOMETHING_ELSE", "1"),
    ]);
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(
        loaded.notes,
        [
            "redis_key_ttl (env REDIS_KEY_TTL), redis_host (env REDIS_HOST): only `flotilla gateway` and \
             `flotilla worker` use it",
            "FLOTILLA_PORT is not read: did you mean PORT?",
            "FLOTILLA_QUEUE_LIMITS is not read: did you mean FLOTILLA_QUEUE_LIMIT?",
        ]
    );
    assert!(loaded.table(true).contains("redis_host*"));
}

#[test]
fn show_lists_everything_or_only_what_differs() {
    let sources = env(&[("PORT", "9000"), ("MAX_CONCURRENT_SESSIONS", "5")]);
    let loaded = Config::load(&sources).unwrap();
    let all = loaded.table(false);
    assert!(settings().all(|setting| all.contains(setting.key)), "{all}");
    let changed = loaded.table(true);
    assert!(changed.contains("9000") && changed.contains("env PORT"), "{changed}");
    assert!(!changed.contains("max_concurrent_sessions"), "{changed}");
    let json = loaded.json(true);
    assert_eq!(json["settings"].as_array().unwrap().len(), 1);
    assert_eq!(json["settings"][0]["value"], "9000");
    assert_eq!(json["settings"][0]["source"], "env PORT");
    let defaults = Config::load(&Sources::default()).unwrap();
    assert_eq!(defaults.table(true), "Every setting has its default.\n");
}

#[test]
fn the_hash_is_of_the_values_and_not_of_their_sources() {
    let by_env = Config::load(&env(&[("PORT", "9000")])).unwrap().hash();
    assert_eq!(Config::load(&file("port = 9000")).unwrap().hash(), by_env);
    assert_ne!(Config::load(&Sources::default()).unwrap().hash(), by_env);
}

#[test]
fn what_is_shown_can_be_written() {
    let mut text = String::new();
    for entry in Config::load(&Sources::default()).unwrap().entries {
        if !entry.value.is_empty() {
            text += &format!("{} = {}\n", entry.setting.key, entry.toml);
        }
    }
    assert_eq!(Config::load(&file(&text)).unwrap().config, Config::default());
}

#[test]
fn no_two_settings_share_a_name() {
    let mut names: Vec<_> =
        settings().flat_map(|s| [s.env_name().to_string(), s.flag(), s.key.to_owned()]).collect();
    names.sort_unstable();
    // A one-word key is its own flag.
    let one_word = settings().filter(|setting| setting.key == setting.flag()).count();
    let total = names.len();
    names.dedup();
    assert_eq!(names.len(), total - one_word);
    for reserved in ["config", "help", "version", "json", "from", "endpoint", "diff-from-default"] {
        assert!(settings().all(|setting| setting.flag() != reserved), "{reserved}");
    }
}
