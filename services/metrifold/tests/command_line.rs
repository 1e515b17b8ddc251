//! The binary as its users meet it: exit status, messages, pages.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use metrifold_tests::Redis;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);

fn metrifold(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metrifold"));
    command.args(arguments).env_clear();
    command
}

fn output(arguments: &[&str]) -> Output {
    metrifold(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A server on a free port, killed when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(role: &str, arguments: &[&str]) -> Server {
        let mut process = metrifold(&[role, "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        let address =
            line.split("listening on http://").nth(1).unwrap_or_else(|| panic!("no address in {line:?}"));
        let address = address.split_whitespace().next().expect("an address").to_owned();
        Server { process, address }
    }

    /// Status line and headers, and the body.
    fn request(&self, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        (head.to_owned(), body.to_owned())
    }

    fn terminate(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.process.id().cast_signed()).expect("a pid");
        kill_process(pid, Signal::TERM).expect("it runs");
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < START_TIMEOUT, "not within {START_TIMEOUT:?}: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_demo_is_exact_and_says_so_in_its_last_line_and_exit_status() {
    let output = output(&["demo", "--duration", "6s", "--workers", "4"]);
    let stdout = text(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    assert!(output.status.success(), "{stdout}\n{}", text(&output.stderr));
    assert!(last.starts_with("exact: ") && last.contains(" <= "), "{last}");
    assert!(stdout.contains("metrics of the demo: http://127.0.0.1:"), "{stdout}");
    let killed = last.split(" workers killed").next().and_then(|head| head.rsplit(' ').next());
    let killed: u32 = killed.and_then(|number| number.parse().ok()).expect("a number of kills");
    assert!(killed >= 3, "{last}");
}

#[test]
fn serve_answers_on_every_page_and_drains_on_sigterm() {
    let segments = directory();
    let mut server = Server::start("serve", &["--segment-dir", &segments.path().display().to_string()]);
    eventually("it is ready", || server.request("GET", "/-/ready").0.contains("200 OK"));
    let (head, body) = server.request("GET", "/metrics");
    assert!(
        head.contains("200 OK") && head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert_eq!(body, "", "nobody has recorded anything yet");
    assert!(server.request("HEAD", "/metrics").0.contains("200 OK"));
    assert_eq!(server.request("GET", "/-/healthy").1, "healthy\n");
    assert!(server.request("GET", "/-/metrics").1.contains("# TYPE metrifold_scrapes_total counter"));
    assert!(server.request("GET", "/").1.contains("/metrics"));
    let (head, body) = server.request("GET", "/metrics?namespace=nobody");
    assert!(head.contains("404") && body.contains("no namespace \"nobody\""), "{head}\n{body}");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_an_error_that_names_it_and_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let segments = directory();
    let output =
        output(&["serve", "--listen", &address, "--segment-dir", &segments.path().display().to_string()]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains(&format!("cannot listen on {address}")) && stderr.contains("--listen"),
        "{stderr}"
    );
}

#[test]
fn a_second_agent_that_may_be_idle_leaves_in_peace_and_one_that_may_not_fails() {
    let segments = directory();
    let path = segments.path().display().to_string();
    let _first = Server::start("serve", &["--segment-dir", &path]);
    let second = output(&["serve", "--listen", "127.0.0.1:0", "--segment-dir", &path, "--exit-when-idle"]);
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert!(text(&second.stdout).contains("another agent"), "{}", text(&second.stdout));
    let third = output(&["serve", "--listen", "127.0.0.1:0", "--segment-dir", &path]);
    assert_eq!(third.status.code(), Some(1));
    assert!(text(&third.stderr).contains("another agent"), "{}", text(&third.stderr));
}

#[test]
fn detached_it_lives_on_in_a_session_of_its_own_until_it_is_idle() {
    let (segments, logs) = (directory(), directory());
    let log = logs.path().join("log");
    let started =
        metrifold(&["serve", "--detach", "--exit-when-idle", "--listen", "127.0.0.1:0", "--log-file"])
            .arg(&log)
            .arg("--segment-dir")
            .arg(segments.path())
            .env("METRIFOLD_AGENT__LINGER", "1s")
            .output()
            .expect("the binary starts");
    assert!(started.status.success(), "{}", text(&started.stderr));
    let line = text(&started.stdout);
    let address =
        line.trim().split("http://").nth(1).unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "it listens after its starter has ended");
    eventually("it ends after its linger time", || TcpStream::connect(&address).is_err());
    assert!(std::fs::read_to_string(&log).expect("a log").contains("idle"));
}

#[test]
fn what_keeps_a_detached_server_from_starting_is_told_by_its_starter() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let segments = directory();
    let path = segments.path().display().to_string();
    let output = output(&["serve", "--detach", "--listen", &address, "--segment-dir", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot listen on"), "{}", text(&output.stderr));
}

#[test]
fn an_unreachable_redis_is_said_at_once_and_in_every_answer_without_its_password() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let (logs, url) = (directory(), format!("redis://:hunter2@127.0.0.1:{closed}/0"));
    let log = logs.path().join("log");
    let server = Server::start("exporter", &["--redis-url", &url, "--log-file", &log.display().to_string()]);
    let (head, body) = server.request("GET", "/metrics");
    assert!(head.contains("503") && body.contains("the store cannot be reached"), "{head}\n{body}");
    assert!(server.request("GET", "/-/ready").0.contains("503"));
    assert!(server.request("GET", "/-/healthy").0.contains("200 OK"));
    let logged = std::fs::read_to_string(&log).expect("a log");
    assert!(logged.contains("Redis is not there") && logged.contains("redis://:***@127.0.0.1"), "{logged}");
    assert!(!logged.contains("hunter2") && !body.contains("hunter2"));
}

#[test]
fn collector_and_exporter_meet_in_redis() {
    let files = directory();
    let socket = files.path().join("redis.sock");
    let _redis = Redis::with(&["--unixsocket", &socket.display().to_string()], &[]).expect("Redis starts");
    let url = format!("redis+unix://{}", socket.display());
    let collector = Server::start("collector", &["--redis-url", &url]);
    let exporter = Server::start("exporter", &["--redis-url", &url]);
    let ready = |server: &Server| server.request("GET", "/-/ready").0.contains("200 OK");
    eventually("the shard is opened", || ready(&collector) && ready(&exporter));
    assert!(exporter.request("GET", "/metrics").0.contains("200 OK"));
    assert!(collector.request("GET", "/metrics").0.contains("404"), "a collector shows no view");
}

#[test]
fn check_config_prints_effective_settings_or_everything_that_is_wrong() {
    let good = metrifold(&["check-config", "--listen", "127.0.0.1:7"])
        .env("REDIS_ENABLED", "1")
        .env("REDIS_PASSWORD", "hunter2")
        .output()
        .expect("the binary starts");
    let stdout = text(&good.stdout);
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert!(stdout.contains("http.listen = 127.0.0.1:7  # the flag --listen"), "{stdout}");
    assert!(
        stdout.contains("redis.url = redis://:***@127.0.0.1:6379/0") && !stdout.contains("hunter2"),
        "{stdout}"
    );
    let bad = metrifold(&["check-config", "--listen", "x", "--namespace", "a/b"])
        .env("METRIFOLD_WORKERS__TLL", "1s")
        .output()
        .expect("the binary starts");
    assert_eq!(bad.status.code(), Some(1));
    let stderr = text(&bad.stderr);
    assert!(
        stderr.contains("3 things are wrong") && stderr.contains("did you mean workers.ttl?"),
        "{stderr}"
    );
}

#[test]
fn an_agent_without_a_target_and_a_lone_exporter_say_what_is_missing() {
    let agent = output(&["agent", "--listen", "127.0.0.1:0"]);
    assert_eq!(agent.status.code(), Some(1));
    assert!(text(&agent.stderr).contains("--to"), "{}", text(&agent.stderr));
    let exporter = output(&["exporter", "--listen", "127.0.0.1:0"]);
    assert_eq!(exporter.status.code(), Some(1));
    assert!(text(&exporter.stderr).contains("redis.url"), "{}", text(&exporter.stderr));
}

#[test]
fn health_says_by_its_exit_status_whether_a_server_is_ready() {
    let segments = directory();
    let server = Server::start("serve", &["--segment-dir", &segments.path().display().to_string()]);
    let url = format!("http://{}/-/ready", server.address);
    let ready = || output(&["health", "--url", &url]);
    let deadline = Instant::now() + START_TIMEOUT;
    while !ready().status.success() {
        assert!(Instant::now() < deadline, "not ready: {}", text(&ready().stderr));
    }
    assert_eq!(text(&ready().stdout), "ready\n");
    drop(server);
    let dead = ready();
    assert!(!dead.status.success());
    assert!(
        text(&dead.stderr).contains(&url) && text(&dead.stderr).contains("refused"),
        "{}",
        text(&dead.stderr)
    );
    for wrong in [
        "ftp://localhost/",
        "http://localhost/?ca=/x",
        "https://localhost/?token=x",
        "http://ann:x@localhost/",
    ] {
        let told = output(&["health", "--url", wrong]);
        assert!(
            !told.status.success() && text(&told.stderr).contains("http://host:port/path"),
            "{wrong}: {}",
            text(&told.stderr)
        );
    }
}
