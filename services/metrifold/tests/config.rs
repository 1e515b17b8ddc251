//! What configuration promises: precedence, every error at once, suggestions, and no secret in any output.

use std::time::Duration;

use metrifold::config::{ConfigErrors, ConfigProblem, Inputs, Layer, Loaded, Target, load};

fn environment(variables: &[(&str, &str)]) -> Inputs {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Inputs { environment: owned.collect(), ..Inputs::default() }
}

fn loaded(variables: &[(&str, &str)]) -> Loaded {
    load(&environment(variables)).expect("a good configuration")
}

fn refused(inputs: &Inputs) -> ConfigErrors {
    load(inputs).expect_err("a bad configuration")
}

struct File(tempfile::TempDir, &'static str);

impl File {
    fn new(name: &'static str, text: &str) -> File {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join(name), text).expect("a writable directory");
        File(directory, name)
    }

    fn inputs(&self, variables: &[(&str, &str)]) -> Inputs {
        Inputs { file: Some(self.0.path().join(self.1)), ..environment(variables) }
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let text = "[workers]\nttl = \"40s\"\n[store]\nsettle = \"4s\"\n[agent]\nlinger = \"4s\"\n";
    let file = File::new("metrifold.toml", text);
    let variables = [("METRIFOLD_WORKERS__TTL", "30s"), ("METRIFOLD_STORE__SETTLE", "3s")];
    let mut inputs = file.inputs(&variables);
    inputs.flags.set("workers.ttl", "20s", "the flag --ttl");
    let settings = load(&inputs).expect("a good configuration").settings;
    assert_eq!(settings.workers.ttl, Duration::from_secs(20));
    assert_eq!(settings.settle(), Duration::from_secs(3));
    assert_eq!(settings.agent.linger, Duration::from_secs(4));
    assert_eq!(settings.workers.tombstone_lifetime, Duration::from_secs(24 * 3600));
}

#[test]
fn yaml_and_toml_say_the_same() {
    let yaml = File::new("metrifold.yaml", "http:\n  listen: 127.0.0.1:7\nworkers:\n  ttl_disabled: true\n");
    let toml = File::new("metrifold.toml", "http.listen = \"127.0.0.1:7\"\nworkers.ttl_disabled = true\n");
    for file in [yaml, toml] {
        let settings = load(&file.inputs(&[])).expect("a good configuration").settings;
        assert_eq!(settings.http.listen.port(), 7);
        assert_eq!(settings.ttl(), None);
    }
}

#[test]
fn every_variable_of_the_guide_is_understood() {
    let settings = loaded(&[
        ("PROMETHEUS_METRICS_PORT", "9191"),
        ("PROMETHEUS_BIND_ADDRESS", "127.0.0.1"),
        ("REDIS_ENABLED", "true"),
        ("REDIS_HOST", "cache"),
        ("REDIS_PORT", "6380"),
        ("REDIS_DB", "2"),
        ("REDIS_PASSWORD", "hunter2"),
        ("REDIS_KEY_PREFIX", "shop"),
        ("REDIS_TTL_SECONDS", "60"),
        ("REDIS_TTL_DISABLED", "false"),
        ("GUNICORN_WORKERS", "4"),
        ("GUNICORN_TIMEOUT", "30"),
        ("CLEANUP_DB_FILES", "true"),
        ("PROMETHEUS_MULTIPROC_DIR", "/tmp/prometheus"),
        ("SIDECAR_MODE", "false"),
        ("PROMETHEUS_SSL_CERTFILE", ""),
    ]);
    assert_eq!(settings.settings.http.listen.to_string(), "127.0.0.1:9191");
    let url = settings.settings.redis.url.expect("Redis is enabled");
    assert_eq!(url.reveal(), "redis://:hunter2@cache:6380/2");
    assert_eq!(settings.settings.redis.namespace.as_str(), "shop");
    assert_eq!(settings.settings.workers.ttl, Duration::from_secs(60));
    assert_eq!(settings.notices.len(), 2, "{:?}", settings.notices);
}

#[test]
fn without_redis_enabled_the_other_redis_variables_do_not_turn_it_on() {
    assert!(loaded(&[("REDIS_HOST", "cache"), ("REDIS_PASSWORD", "x")]).settings.redis.url.is_none());
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let shown = |variables| loaded(variables).show();
    let empty =
        ["PROMETHEUS_METRICS_PORT", "REDIS_KEY_PREFIX", "METRIFOLD_NAMESPACE", "METRIFOLD_HTTP__LISTEN"];
    assert_eq!(shown(&empty.map(|name| (name, ""))), shown(&[]));
}

#[test]
fn our_own_names_win_over_those_of_the_guide() {
    let settings = loaded(&[
        ("PROMETHEUS_METRICS_PORT", "9191"),
        ("METRIFOLD_HTTP__LISTEN", "127.0.0.1:1"),
        ("REDIS_KEY_PREFIX", "guide"),
        ("METRIFOLD_NAMESPACE", "client"),
    ])
    .settings;
    assert_eq!(settings.http.listen.port(), 1);
    assert_eq!(settings.redis.namespace.as_str(), "client");
}

#[test]
fn what_workers_read_is_known_and_used_where_it_concerns_the_agent() {
    let settings = loaded(&[
        ("METRIFOLD_TARGET", "local:/run/segments"),
        ("METRIFOLD_INSTANCE", "host-1"),
        ("METRIFOLD_PUSH_INTERVAL", "2s"),
        ("METRIFOLD_EXIT_TIMEOUT", "1s"),
        ("METRIFOLD_LABELS", "zone=a"),
    ])
    .settings;
    assert_eq!(settings.agent.segment_dir.display().to_string(), "/run/segments");
    assert_eq!(settings.settle(), Duration::from_secs(6));
}

#[test]
fn a_feature_that_is_missing_is_refused_where_silence_would_change_what_is_served() {
    let error = refused(&environment(&[
        ("PROMETHEUS_SSL_CERTFILE", "/cert.pem"),
        ("PROMETHEUS_SSL_KEYFILE", "/key.pem"),
        ("SIDECAR_MODE", "true"),
    ]));
    assert_eq!(error.0.len(), 3);
    assert!(error.to_string().contains("PROMETHEUS_SSL_CERTFILE: TLS is not supported yet"), "{error}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let file = File::new("metrifold.toml", "[workers]\nttl = \"soon\"\n[store]\nsettel = \"3s\"\n");
    let mut inputs = file.inputs(&[
        ("METRIFOLD_HTTP__LISTEN", "nowhere"),
        ("METRIFOLD_REDIS__SHARDS", "0"),
        ("METRIFOLD_NAMESPAC", "x"),
        ("METRIFOLD_WORKERS__PER_WORKER_LABELS", "slot, 2nd"),
    ]);
    inputs.flags.set("redis.namespace", "a/b", "the flag --namespace");
    let error = refused(&inputs);
    assert_eq!(error.0.len(), 7, "{error}");
    let text = error.to_string();
    for part in [
        "7 things are wrong",
        "metrifold.toml: \"soon\" is no duration",
        "unknown setting store.settel in",
        "did you mean store.settle?",
        "http.listen in the environment variable METRIFOLD_HTTP__LISTEN: \"nowhere\" is no address",
        "redis.shards in the environment variable METRIFOLD_REDIS__SHARDS",
        "unknown setting METRIFOLD_NAMESPAC in the environment; did you mean METRIFOLD_NAMESPACE?",
        "workers.per_worker_labels in the environment variable METRIFOLD_WORKERS__PER_WORKER_LABELS: \"2nd\" is no label name",
        "redis.namespace in the flag --namespace: namespace \"a/b\" is not allowed",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[test]
fn unknown_keys_get_the_nearest_suggestion_or_none() {
    for (variable, suggestion) in [
        ("METRIFOLD_WORKERS__TLL", Some("workers.ttl")),
        ("METRIFOLD_STORE__DATADIR", Some("store.data_dir")),
        ("METRIFOLD_AGENT__SEGMENTS_DIR", Some("agent.segment_dir")),
        ("METRIFOLD_QQQ__ZZZ", None),
    ] {
        let error = refused(&environment(&[(variable, "1")]));
        let [ConfigProblem::Unknown { suggestion: found, .. }] = &error.0[..] else { panic!("{error}") };
        assert_eq!(found.as_deref(), suggestion, "{variable}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Inputs { file: Some("/nowhere/metrifold.toml".into()), ..Inputs::default() };
    let nameless = Inputs { file: Some("/nowhere/metrifold".into()), ..Inputs::default() };
    let broken = File::new("broken.toml", "[http\n");
    for (inputs, part) in [
        (missing, "configuration file /nowhere/metrifold.toml: No such file"),
        (nameless, "must end in .toml, .yaml or .yml"),
        (broken.inputs(&[]), "broken.toml"),
    ] {
        let error = refused(&inputs);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_section_given_as_a_value_and_a_list_are_errors_not_panics() {
    let file = File::new("metrifold.toml", "http = 5\nredis.url = [\"a\", \"b\"]\n");
    let text = refused(&file.inputs(&[])).to_string();
    assert!(text.contains("unknown setting http in"), "{text}");
    assert!(text.contains("redis.url") && text.contains("one value is expected"), "{text}");
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let variables = [("METRIFOLD_STORE__DATA_DIR", "/data"), ("METRIFOLD_REDIS__URL", "redis://cache")];
    assert!(refused(&environment(&variables)).to_string().contains("store.data_dir"));
    let variables =
        [("METRIFOLD_WORKERS__TOMBSTONE_LIFETIME", "1m"), ("METRIFOLD_WORKERS__GAUGE_RETENTION", "2m")];
    assert!(refused(&environment(&variables)).to_string().contains("workers.gauge_retention"));
}

#[test]
fn secrets_show_nowhere() {
    let mut inputs = environment(&[("METRIFOLD_REDIS__URL", "redis://:hunter2@cache:6379/0")]);
    inputs.flags = Layer::default();
    inputs.flags.set("upstream.target", "redis://:hunter3@cache:6379/0", "the flag --to");
    let loaded = load(&inputs).expect("a good configuration");
    let shown = loaded.show();
    assert!(shown.contains("redis.url = redis://:***@cache:6379/0"), "{shown}");
    assert!(!shown.contains("hunter") && !format!("{loaded:?}").contains("hunter"));
    assert!(matches!(loaded.settings.upstream.target, Some(Target::Redis(_))));
    inputs.flags.set("redis.url", "http://:hunter4@cache", "the flag --redis-url");
    assert!(!refused(&inputs).to_string().contains("hunter"));
}

#[test]
fn what_is_shown_says_where_it_came_from() {
    let shown = loaded(&[("METRIFOLD_WORKERS__TTL", "90s")]).show();
    assert!(
        shown.contains("workers.ttl = 1m 30s  # the environment variable METRIFOLD_WORKERS__TTL"),
        "{shown}"
    );
    assert!(shown.contains("http.listen = 127.0.0.1:9091  # default"), "{shown}");
}
