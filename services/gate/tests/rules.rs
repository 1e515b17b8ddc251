//! What a web.config.yml may say, and what is said about one that may not.

use metrifold_gate::{Gate, Source, WebErrors};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// A directory with `server.pem`, `server.key` and a configuration.
fn check(text: &str) -> (TempDir, Result<String, WebErrors>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    std::fs::write(directory.path().join("server.pem"), cert.pem()).expect("written");
    std::fs::write(directory.path().join("server.key"), signing_key.serialize_pem()).expect("written");
    let file = directory.path().join("web.yml");
    std::fs::write(
        &file,
        text.replace("CERT", &indented(&cert.pem())).replace("KEY", &indented(&signing_key.serialize_pem())),
    )
    .expect("written");
    let checked = Gate::check(&Source::File(file));
    (directory, checked)
}

/// As a literal block under a key of a section.
fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("\n    {line}")).collect()
}

fn summary(text: &str) -> String {
    check(text).1.unwrap_or_else(|errors| panic!("{text}: {errors}"))
}

fn refused(text: &str) -> WebErrors {
    check(text).1.expect_err(text)
}

#[test]
fn good_rules_are_told_in_one_line() {
    for (text, expected) in [
        ("", "plain text, no credentials asked for"),
        ("tls_server_config:\nbasic_auth_users:\n", "plain text, no credentials asked for"),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n",
            "TLS, no credentials asked for",
        ),
        ("tls_server_config:\n  cert: |CERT\n  key: |KEY\n", "TLS, no credentials asked for"),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca: |CERT\n  \
             client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [a, b]\n  \
             prefer_server_cipher_suites: no\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
            "TLS (RequireAndVerifyClientCert), no credentials asked for",
        ),
        (&format!("basic_auth_users:\n  ann: {HASH}\n  \"007\": {HASH}\n"), "plain text, 2 users"),
        (
            "rate_limit:\n  interval: 100ms\n  burst: 20\n",
            "plain text, a request every 100ms, 20 at once, no credentials asked for",
        ),
        ("rate_limit:\n  interval: 0\n", "plain text, no credentials asked for"),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_what_to_write_instead() {
    for (text, place, message) in [
        ("- a\n", "the document", "a mapping is expected"),
        ("a: b: c\n", "the file", "mapping"),
        ("rate_limit: {}\nrate_limit: {}\n", "the file", "duplicate"),
        ("---\na: 1\n---\nb: 1\n", "the file", "2 documents"),
        ("tls_config:\n", "tls_config", "there is no such key"),
        ("tls_server_config: yes\n", "tls_server_config", "a mapping is expected"),
        ("tls_server_config:\n  cert_file: server.pem\n", "tls_server_config.key", "one of key and key_file"),
        (
            "tls_server_config:\n  cert_file: server.pem\n  cert: |CERT\n  key_file: server.key\n",
            "tls_server_config.cert",
            "keep one",
        ),
        (
            "tls_server_config:\n  cert_file: gone.pem\n  key_file: server.key\n",
            "tls_server_config.cert_file",
            "gone.pem: No such file",
        ),
        (
            "tls_server_config:\n  cert_file: server.key\n  key_file: server.key\n",
            "tls_server_config",
            "server.key: it holds no certificate",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.pem\n",
            "tls_server_config",
            "server.pem: ",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: server.pem\n",
            "tls_server_config.client_auth_type",
            "use RequireAndVerifyClientCert",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  curve_preferences: CurveP256\n",
            "tls_server_config.curve_preferences",
            "a list of words",
        ),
        ("http_server_config:\n  http2: maybe\n", "http_server_config.http2", "neither true nor false"),
        (
            "http_server_config:\n  headers:\n    X-Frame-Option: deny\n",
            "http_server_config.headers.X-Frame-Option",
            "did you mean X-Frame-Options?",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
            "http_server_config.headers.X-Frame-Options",
            "use deny or sameorigin",
        ),
        ("basic_auth_users:\n  ann: hunter2\n", "basic_auth_users.ann", "no bcrypt hash"),
        ("rate_limit:\n  interval: 1s\n", "rate_limit.burst", "from 1 up"),
        ("rate_limit:\n  interval: fast\n  burst: 1\n", "rate_limit.interval", "no duration"),
    ] {
        let errors = refused(text);
        let [problem] = errors.problems.as_slice() else { panic!("{text}: {errors}") };
        assert_eq!(problem.place, place, "{errors}");
        assert!(problem.message.contains(message), "{errors}");
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
}

#[test]
fn a_token_says_what_it_lacks() {
    let good = "token: 0123456789abcdef, namespaces: [shop], rights: [read]";
    assert_eq!(summary(&format!("bearer_tokens:\n  x: {{{good}}}\n")), "plain text, 1 token");
    for (token, place, message) in [
        (good.replace("0123456789abcdef", "hunter2"), "token", "at least 16"),
        (good.replace("token: 0123456789abcdef, ", ""), "token", "exactly one of"),
        (format!("token_file: server.key, {good}"), "token", "exactly one of"),
        (good.replace("token: 0123456789abcdef", "token_file: gone"), "token", "gone: No such file"),
        (good.replace("token: 0123456789abcdef", "token_sha256: abc"), "token", "64 hexadecimal digits"),
        (good.replace("[shop]", "[]"), "namespaces", "or [\"*\"] for all"),
        (good.replace("[shop]", "[a/b]"), "namespaces", "not allowed"),
        (good.replace("[read]", "[write]"), "rights", "there are read and push"),
        (good.replace("[read]", "[]"), "rights", "read, push or both"),
        (good.replace("rights", "right"), "right", "did you mean rights?"),
    ] {
        let errors = refused(&format!("bearer_tokens:\n  x: {{{token}}}\n"));
        let problem = &errors.problems[0];
        assert_eq!(problem.place, format!("bearer_tokens.x.{place}"), "{token}: {errors}");
        assert!(problem.message.contains(message), "{token}: {errors}");
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
}
