//! What configuration promises: precedence, every error at once, suggestions, and no secret in any output.

use std::time::Duration;

use metrifold::config::{ConfigErrors, ConfigProblem, Inputs, Layer, Loaded, load};
use metrifold_gate::Source;
use metrifold_push::Target;

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
    let agent = &settings.settings.agent;
    assert_eq!(agent.multiproc_dir.as_deref(), Some("/tmp/prometheus".as_ref()));
    assert!(agent.cleanup);
    assert!(settings.notices.is_empty(), "{:?}", settings.notices);
}

/// The file that gunicorn-prometheus-exporter's README recommends, and the environment above it.
#[test]
fn the_guides_yaml_file_says_what_its_variables_say() {
    let text = "exporter:\n  prometheus:\n    metrics_port: 9191\n    bind_address: 127.0.0.1\n    \
                multiproc_dir: /tmp/prometheus\n  gunicorn:\n    workers: 2\n    timeout: 30\n    keepalive: 2\n  \
                redis:\n    enabled: true\n    host: cache\n    port: 6380\n    db: 0\n    password: \"\"\n    \
                ttl_seconds: 60\n  ssl:\n    enabled: false\n    certfile: \"\"\n  cleanup:\n    db_files: true\n";
    let file = File::new("gunicorn-prometheus-exporter.yml", text);
    let settings = load(&file.inputs(&[("REDIS_HOST", "other")])).expect("a good configuration").settings;
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:9191");
    assert_eq!(settings.redis.url.expect("Redis is enabled").reveal(), "redis://other:6380/0");
    assert_eq!(settings.redis.namespace.as_str(), "gunicorn");
    assert_eq!(settings.workers.ttl, Duration::from_secs(60));
    assert!(settings.agent.cleanup && settings.agent.multiproc_dir.is_some());

    let file = File::new("wrong.yml", "exporter:\n  redis:\n    hots: cache\n");
    assert!(refused(&file.inputs(&[])).to_string().contains("exporter.redis.hots"));
}

#[test]
fn redis_ssl_is_a_connection_by_tls() {
    let given = [("REDIS_ENABLED", "true"), ("REDIS_HOST", "cache"), ("REDIS_SSL", "true")];
    let url = loaded(&given).settings.redis.url.expect("Redis is enabled");
    assert_eq!(url.reveal(), "rediss://cache:6379/0");
    let error = refused(&environment(&[("REDIS_ENABLED", "true"), ("REDIS_SSL", "perhaps")]));
    assert!(error.to_string().contains("REDIS_SSL"), "{error}");
}

#[test]
fn a_sidecar_of_a_redis_needs_no_directory() {
    let settings = loaded(&[("SIDECAR_MODE", "true"), ("REDIS_ENABLED", "true")]).settings;
    assert!(settings.exporter.sidecar_metrics && settings.agent.multiproc_dir.is_none());
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
    let error = refused(&environment(&[("SIDECAR_MODE", "true")]));
    assert_eq!(error.0.len(), 1);
    assert!(error.to_string().contains("SIDECAR_MODE"), "{error}");
}

#[test]
fn the_guides_tls_is_understood_and_does_not_mix_with_a_web_configuration() {
    let files = [("PROMETHEUS_SSL_CERTFILE", "/cert.pem"), ("PROMETHEUS_SSL_KEYFILE", "/key.pem")];
    let clients =
        [("PROMETHEUS_SSL_CLIENT_CAPATH", "/authorities"), ("PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED", "True")];
    let Source::Certificates(found) = loaded(&[files, clients].concat()).settings.web.source() else {
        panic!("certificate files")
    };
    assert_eq!((found.cert, found.key), ("/cert.pem".into(), "/key.pem".into()));
    assert_eq!((found.client_ca, found.client_ca_directory), (None, Some("/authorities".into())));
    assert!(found.is_client_auth_required);

    let with = |more: &[(&str, &str)]| refused(&environment(&[&files, more].concat())).to_string();
    let both = with(&[("METRIFOLD_WEB__CONFIG_FILE", "/web.yml")]);
    assert!(
        both.contains("web.cert_file (PROMETHEUS_SSL_CERTFILE)")
            && both.contains("leave web.config_file out")
    );
    let nobody = with(&[("PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED", "true")]);
    assert!(nobody.contains("name them by web.client_ca_file"), "{nobody}");
    let unknown = with(&[("PROMETHEUS_SSL_CLIENT_CA_FILE", "/ca.pem")]);
    assert!(unknown.contains("did you mean PROMETHEUS_SSL_CLIENT_CAFILE?"), "{unknown}");
    let half = refused(&environment(&files[..1])).to_string();
    assert!(half.contains("needs both"), "{half}");
}

#[test]
fn a_token_is_given_once_and_shown_nowhere() {
    let given = loaded(&[("METRIFOLD_TOKEN", "hunter2")]);
    let shown = given.show();
    assert!(shown.contains("upstream.token = ***  # METRIFOLD_TOKEN"), "{shown}");
    assert!(!shown.contains("hunter2") && !format!("{given:?}").contains("hunter2"));
    let both = [("METRIFOLD_TOKEN", "hunter2"), ("METRIFOLD_TOKEN_FILE", "/token")];
    let error = refused(&environment(&both)).to_string();
    assert!(error.contains("keep one") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_takes_a_restart_is_named_also_where_only_a_secret_has_changed() {
    let before = loaded(&[("METRIFOLD_REDIS__URL", "redis://:one@cache"), ("METRIFOLD_LOG__LEVEL", "info")]);
    let after = loaded(&[("METRIFOLD_REDIS__URL", "redis://:two@cache"), ("METRIFOLD_LOG__LEVEL", "debug")]);
    assert_eq!(before.changed_for_good(&after), ["redis.url"]);
    assert!(before.changed_for_good(&before).is_empty());
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let file = File::new("metrifold.toml", "[workers]\nttl = \"soon\"\n[store]\nsettel = \"3s\"\n");
    let mut inputs = file.inputs(&[
        ("METRIFOLD_HTTP__LISTEN", "nowhere"),
        ("METRIFOLD_REDIS__SHARDS", "0"),
        ("METRIFOLD_NAMESPAC", "x"),
        ("METRIFOLD_WORKERS__PER_WORKER_LABELS", "slot, 2nd"),
        ("METRIFOLD_WORKERS__ARCHIVE_LABELS", "zone, pid"),
    ]);
    inputs.flags.set("redis.namespace", "a/b", "the flag --namespace");
    let error = refused(&inputs);
    assert_eq!(error.0.len(), 8, "{error}");
    let text = error.to_string();
    for part in [
        "8 things are wrong",
        "metrifold.toml: \"soon\" is no duration",
        "unknown setting store.settel in",
        "did you mean store.settle?",
        "http.listen in the environment variable METRIFOLD_HTTP__LISTEN: \"nowhere\" is no address",
        "redis.shards in the environment variable METRIFOLD_REDIS__SHARDS",
        "unknown setting METRIFOLD_NAMESPAC in the environment; did you mean METRIFOLD_NAMESPACE?",
        "workers.per_worker_labels in the environment variable METRIFOLD_WORKERS__PER_WORKER_LABELS: \"2nd\" is no label name",
        "workers.archive_labels in the environment variable METRIFOLD_WORKERS__ARCHIVE_LABELS: \"pid\" cannot be kept",
        "redis.namespace in the flag --namespace: namespace \"a/b\" is not allowed",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[test]
fn a_view_is_grouped_only_by_what_the_archive_keeps() {
    let grouped = ("METRIFOLD_EXPORTER__GROUP_BY", "zone");
    let error = refused(&environment(&[grouped]));
    assert!(error.to_string().contains("workers.archive_labels does not"), "{error}");
    let kept = ("METRIFOLD_WORKERS__ARCHIVE_LABELS", "host,zone");
    let settings = loaded(&[grouped, kept]).settings;
    assert_eq!(settings.exporter.group_by.iter().collect::<Vec<_>>(), ["zone"]);
    let many = ("METRIFOLD_WORKERS__ARCHIVE_LABELS", "a,b,c,d,e");
    assert!(refused(&environment(&[many])).to_string().contains("at most 4"));
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
fn a_multiprocess_directory_brings_a_data_directory_unless_there_is_a_store() {
    let folder = |variables: &[(&str, &str)]| loaded(variables).settings.data_dir();
    let directory = ("PROMETHEUS_MULTIPROC_DIR", "/files");
    assert_eq!(folder(&[directory]), Some("/files/.metrifold".into()));
    assert_eq!(folder(&[directory, ("METRIFOLD_STORE__DATA_DIR", "/data")]), Some("/data".into()));
    assert_eq!(folder(&[directory, ("METRIFOLD_REDIS__URL", "redis://cache")]), None);
}

#[test]
fn a_multiprocess_directory_in_the_environment_can_be_overridden_by_none() {
    let mut inputs = environment(&[("PROMETHEUS_MULTIPROC_DIR", "/files")]);
    inputs.flags.set("agent.multiproc_dir", "", "the flag --multiproc-dir");
    assert_eq!(load(&inputs).expect("a good configuration").settings.agent.multiproc_dir, None);
}

#[test]
fn files_of_processes_that_are_never_found_dead_cannot_be_cleaned_up() {
    let variables = [
        ("PROMETHEUS_MULTIPROC_DIR", "/files"),
        ("CLEANUP_DB_FILES", "true"),
        ("METRIFOLD_AGENT__LIVENESS", "off"),
    ];
    assert!(refused(&environment(&variables)).to_string().contains("agent.liveness"));
    assert!(load(&environment(&variables[1..])).is_ok(), "there are no files");
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
    // A collector's address has no place for a password.
    inputs.flags.set("upstream.target", "http://user:hunter5@collector:9091", "the flag --to");
    let error = refused(&inputs).to_string();
    assert!(error.contains("only a host and a port") && !error.contains("hunter"), "{error}");
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

#[test]
fn service_links_of_kubernetes_are_known_and_ignored() {
    let links = [
        ("METRIFOLD_SERVICE_HOST", "10.0.0.7"),
        ("METRIFOLD_SERVICE_PORT", "9091"),
        ("METRIFOLD_SERVICE_PORT_HTTP", "9091"),
        ("METRIFOLD_PORT", "tcp://10.0.0.7:9091"),
        ("METRIFOLD_PORT_9091_TCP", "tcp://10.0.0.7:9091"),
        ("METRIFOLD_PORT_9091_TCP_PROTO", "tcp"),
        ("METRIFOLD_PORT_9091_TCP_PORT", "9091"),
        ("METRIFOLD_PORT_9091_TCP_ADDR", "10.0.0.7"),
        ("METRIFOLD_COLLECTOR_SERVICE_HOST", "10.0.0.8"),
        ("METRIFOLD_COLLECTOR_PORT_9091_UDP_ADDR", "10.0.0.8"),
    ];
    assert_eq!(loaded(&links).service_links.len(), links.len());
    for mistake in
        ["METRIFOLD_HTTP__PORT", "METRIFOLD_PORT_9091", "METRIFOLD_PORT_X_TCP", "METRIFOLD_SERVICE"]
    {
        let ConfigErrors(problems) = refused(&environment(&[(mistake, "9091")]));
        assert!(matches!(&problems[..], [ConfigProblem::Unknown { .. }]), "{mistake}: {problems:?}");
    }
}

#[test]
fn servers_take_the_settings_of_workers_by_the_same_grammar() {
    let refused = |name, value| refused(&environment(&[(name, value)])).to_string();
    let text = refused("METRIFOLD_TARGET", "locl:/x");
    assert!(
        text.contains("METRIFOLD_TARGET") && text.contains("locl:/x") && text.contains("local:DIR"),
        "{text}"
    );
    let text = refused("METRIFOLD_PUSH_INTERVAL", "400s");
    assert!(text.contains("METRIFOLD_PUSH_INTERVAL") && text.contains("between 10ms and 300s"), "{text}");
    // Where workers push to is no business of a server beside them.
    for target in ["http://collector:9091", "redis://cache:6379", "unix:/run/m.sock", "local:", "local:/x"] {
        loaded(&[("METRIFOLD_TARGET", target)]);
    }
}
