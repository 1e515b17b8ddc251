//! Programs that we did not write agree with the pages: prometheus_client prints the same bytes and reads every text
//! format, promtool finds no fault, and a real Prometheus scrapes what it negotiates and whatever else it can read.

#![expect(clippy::disallowed_methods, reason = "the crate is pure, its tests are not")]

#[path = "reading/mod.rs"]
mod reading;
#[path = "views/mod.rs"]
mod views;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use metrifold_exposition::{Encoder, Escaping, Format, Variant, encode, filter, negotiate};
use metrifold_merge::{Family, FamilyKind, View};
use metrifold_model::format_float;
use reading::{ExemplarRow, Row, number, read_protobuf, read_text};
use serde_json::Value;
use tempfile::TempDir;
use views::{every_type, every_type_and_name, sample};

/// The same as in `golden/print_prometheus_client.py`.
const HOSTILE: [&str; 7] = ["C:\\dir\n", "\"quoted\"", "\\n", "\u{fc}n\u{ef}\u{2192}", "", "{},= #", "\r\t"];

/// The same as in `golden/print_prometheus_client.py`.
const NUMBERS: [f64; 24] = [
    0.0,
    1.0,
    -1.0,
    0.1,
    0.0001,
    0.00001,
    1.5e-7,
    5e-324,
    999999.0,
    1e6,
    1234567.0,
    1234567.25,
    -1234567.25,
    123456789012.0,
    1e15,
    9007199254740992.0,
    1e16,
    f64::MAX,
    -1e10,
    -1e16,
    0.30000000000000004,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

fn hostile_counter() -> Family {
    let samples = HOSTILE.iter().enumerate().map(|(index, text)| {
        let number = index.to_string();
        let labels = [("verb", "GET"), ("path", text), ("index", &number)];
        sample("app_requests_total", &labels, index as f64)
    });
    Family::new("app_requests", "back\\slash, \"quote\" and\nline", FamilyKind::Counter, samples)
}

fn gauge(help: &str) -> Family {
    let samples = NUMBERS
        .iter()
        .enumerate()
        .map(|(index, number)| sample("level", &[("pid", &format!("{index:02}"))], *number));
    Family::new("level", help, FamilyKind::Gauge, samples)
}

fn histogram() -> Family {
    let buckets = [("0.005", 1.0), ("1.0", 2.0), ("2.5", 2.0), ("1e+06", 3.0), ("+Inf", 4.0)];
    let label_set = |verb: &'static str| {
        let buckets =
            buckets.map(|(bound, count)| sample("seconds_bucket", &[("verb", verb), ("le", bound)], count));
        let sum = sample("seconds_sum", &[("verb", verb)], 1234567.891);
        buckets.into_iter().chain([sum, sample("seconds_count", &[("verb", verb)], 4.0)])
    };
    Family::new("seconds", "Time", FamilyKind::Histogram, ["GET", "PUT"].into_iter().flat_map(label_set))
}

fn summary() -> Family {
    let samples = [sample("size_bytes_count", &[], 2.0), sample("size_bytes_sum", &[], 3e9)];
    Family::new("size_bytes", "Size", FamilyKind::Summary, samples)
}

fn text(families: Vec<Family>) -> String {
    let mut bytes = Vec::new();
    encode(&View { families, ..View::default() }, Variant::default(), &mut bytes);
    String::from_utf8(bytes).expect("text")
}

#[test]
fn prometheus_client_prints_the_same_bytes() {
    let families = vec![hostile_counter(), gauge(""), histogram(), summary()];
    assert_eq!(text(families), include_str!("golden/prometheus_client.txt"));
}

#[test]
fn an_encoder_prints_the_same_bytes_again_and_follows_every_change() {
    let mut encoder = Encoder::new(Variant::default());
    let mut same = |families: &[Family]| {
        let mut bytes = Vec::new();
        encoder.encode(&View { families: families.to_vec(), ..View::default() }, &mut bytes);
        assert_eq!(String::from_utf8(bytes).expect("text"), text(families.to_vec()));
    };
    let (mut counter, mut level) = (hostile_counter(), gauge("Level"));
    same(&[counter.clone(), level.clone()]);
    counter.values.iter_mut().for_each(|value| *value += 0.5);
    same(&[counter.clone(), level.clone()]);
    level.help = "Another".into();
    same(&[counter.clone(), level.clone()]);
    level.series = level.series.iter().rev().cloned().collect();
    same(&[counter.clone(), level.clone()]);
    same(&[counter.clone()]);
    counter.kind = FamilyKind::Gauge;
    same(&[counter, level]);
}

/// What `promtool check metrics` has to say about a page, and its exit code; `None` if there is no promtool.
fn promtool(page: &[u8]) -> Option<(String, Option<i32>)> {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        missing("promtool");
        return None;
    };
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(page).expect("promtool reads everything");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    Some((String::from_utf8_lossy(&said).into_owned(), output.status.code()))
}

#[test]
fn promtool_finds_no_fault() {
    let page = text(vec![hostile_counter(), gauge("Level"), histogram(), summary()]);
    let Some((said, code)) = promtool(page.as_bytes()) else { return };
    assert_eq!((said.as_str(), code), ("", Some(0)), "{page}");
}

/// The exit code of promtool for a page that it can read and has advice about; what it cannot read is 1.
const ADVICE: Option<i32> = Some(3);

#[test]
fn promtool_reads_every_type_and_name_by_every_scheme() {
    for escaping in [Escaping::Underscores, Escaping::Dots, Escaping::Values] {
        let page = page(&every_type_and_name(), Variant::new(Format::Text, escaping));
        let Some((said, code)) = promtool(&page) else { return };
        // One family has no help, and some find units in the codes of characters.
        let advice = |line: &str| line.ends_with("no help text") || line.ends_with("abbreviated units");
        let is_advised = code == ADVICE && !said.is_empty() && said.lines().all(advice);
        assert!(is_advised, "{escaping:?}: {code:?} {said}\n{}", String::from_utf8_lossy(&page));
    }
}

fn page(view: &View, variant: Variant) -> Vec<u8> {
    let mut page = Vec::new();
    encode(view, variant, &mut page);
    page
}

/// The interpreter of the environment that `make venv` builds.
fn python() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let venv =
        std::env::var_os("METRIFOLD_VENV").map_or_else(|| repository.join("target/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "{} is missing; run `make venv` first", python.display());
    python
}

/// What prometheus_client's parser reads: per sample its labels and value, and for each family its type and unit.
fn read_by_prometheus_client(page: &[u8], parser: &str) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read.py");
    let mut reader = Command::new(python())
        .arg(script)
        .arg(parser)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts");
    reader.stdin.take().expect("piped").write_all(page).expect("the parser reads everything");
    let output = reader.wait_with_output().expect("the parser ends");
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{fault}\n{}", String::from_utf8_lossy(page));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Every sample of the view is read, with its labels and value; whatever else is read is a time of creation.
fn assert_read(view: &View, rows: &[Value]) {
    let mut read = BTreeMap::new();
    for row in rows {
        let labels = row[5].as_array().expect("pairs").iter();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let labels: Vec<_> = labels.map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        assert!(read.insert((text(&row[4]), labels), text(&row[6])).is_none(), "twice: {row}");
    }
    for sample in view.families.iter().flat_map(Family::samples) {
        let labels = sample.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let value = read.remove(&(sample.name.to_owned(), labels)).unwrap_or_else(|| panic!("no {sample:?}"));
        let value: f64 = value.parse().expect("a number");
        assert!(
            value.to_bits() == sample.value.to_bits() || (value.is_nan() && sample.value.is_nan()),
            "{sample:?}"
        );
    }
    assert!(read.keys().all(|(name, _)| name.ends_with("_created")), "{read:?}");
}

#[test]
fn prometheus_clients_parsers_read_every_type_and_name() {
    let view = every_type_and_name();
    let utf8 = |format| page(&view, Variant::new(format, Escaping::AllowUtf8));
    assert_read(&view, &read_by_prometheus_client(&utf8(Format::Text1), "text"));
    let rows = read_by_prometheus_client(&utf8(Format::OpenMetrics1), "openmetrics");
    assert_read(&view, &rows);
    let family = |name: &str| rows.iter().find(|row| row[0] == name).expect("the family").clone();
    for (name, kind, unit) in [
        ("app_requests", "counter", ""),
        ("build", "info", ""),
        ("h\u{e9}llo w\u{f6}rld", "counter", ""),
        ("level_bytes", "gauge", "bytes"),
        ("phase", "stateset", ""),
        ("size", "summary", ""),
        ("wait_seconds", "histogram", "seconds"),
    ] {
        assert_eq!((&family(name)[1], &family(name)[3]), (&kind.into(), &unit.into()));
    }
    assert_eq!(family("app_requests")[2], "back\\slash, \"quote\" and\nline");
    let exemplars = rows.iter().filter(|row| !row[7].is_null()).count();
    assert_eq!(exemplars, 4);
    let created = |row: &&Value| row[4].as_str().is_some_and(|name| name.ends_with("_created"));
    assert_eq!(rows.iter().filter(created).count(), 5);

    let hostile = View { families: vec![hostile_counter(), gauge("Level")], ..View::default() };
    for (format, parser) in [(Format::Text, "text"), (Format::OpenMetrics1, "openmetrics")] {
        assert_read(
            &hostile,
            &read_by_prometheus_client(&page(&hostile, Variant::new(format, Escaping::Values)), parser),
        );
    }
}

#[test]
fn every_sample_that_is_asked_for_by_name_is_shown_and_read_in_openmetrics() {
    let view = every_type();
    let sets = [
        &["wait_seconds_count"][..],
        &["wait_seconds_sum"],
        &["wait_seconds_bucket"],
        &["wait_seconds_count", "wait_seconds_sum"],
        &["wait_seconds_bucket", "wait_seconds_count"],
        &["wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum"],
        &["wait_seconds", "size_count", "app_requests_total"],
    ];
    for names in sets {
        let part = filter(&view, &names.iter().map(ToString::to_string).collect(), Format::OpenMetrics1);
        let wanted = |name: &str| {
            names.contains(&name) || names.contains(&"wait_seconds") && name.starts_with("wait_seconds")
        };
        let asked =
            view.families.iter().flat_map(Family::samples).filter(|sample| wanted(sample.name)).count();
        let rows = read_by_prometheus_client(
            &page(&part, Variant::new(Format::OpenMetrics1, Escaping::Values)),
            "openmetrics",
        );
        assert_read(&part, &rows);
        let name = |row: &Value| row[4].as_str().expect("text").to_owned();
        let shown = rows.iter().map(name).filter(|name| wanted(name) && !name.ends_with("_created")).count();
        assert!(asked > 0 && shown == asked, "{names:?}: {shown} of {asked}");
    }
}

#[test]
fn every_scheme_for_names_is_read_by_parsers_of_before_utf_8() {
    let view = every_type_and_name();
    let series: usize = view.families.iter().map(|family| family.series.len()).sum();
    for escaping in [Escaping::Underscores, Escaping::Dots, Escaping::Values] {
        let rows = read_by_prometheus_client(&page(&view, Variant::new(Format::Text, escaping)), "text");
        assert_eq!(rows.len(), series, "{escaping:?}");
        let rows = read_by_prometheus_client(
            &page(&view, Variant::new(Format::OpenMetrics1, escaping)),
            "openmetrics",
        );
        assert_eq!(rows.len(), series + 5, "{escaping:?}");
    }
}

/// Answers scrapes of the view: at `/<index>` in that one of the variants, elsewhere by what `Accept` says. Sends each
/// answer's `Content-Type`.
fn serve(view: View, variants: Vec<Variant>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sender, answered) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(content_type) = answer(stream, &view, &variants)
                && sender.send(content_type).is_err()
            {
                return;
            }
        }
    });
    (address, answered)
}

fn answer(mut stream: TcpStream, view: &View, variants: &[Variant]) -> Option<String> {
    let (mut accept, mut path) = (String::new(), String::new());
    for line in BufReader::new(stream.try_clone().ok()?).lines() {
        let line = line.ok()?.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("accept:") {
            accept = value.replace("metricfamily", "MetricFamily");
        } else if let Some(rest) = line.strip_prefix("get /") {
            path = rest.split(' ').next()?.to_owned();
        } else if line.is_empty() {
            break;
        }
    }
    let negotiated = negotiate(&accept);
    let (content_type, variant) = match path.parse::<usize>() {
        Ok(index) => (variants[index].content_type(true), variants[index]),
        Err(_) => (negotiated.content_type(), negotiated.variant),
    };
    let body = page(view, variant);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()?;
    Some(content_type)
}

/// A Prometheus that is stopped when the test ends.
struct Prometheus {
    process: Child,
    address: String,
    _directory: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Only a developer's Mac may lack what `tests/install.sh` installs.
fn missing(program: &str) {
    match cfg!(target_os = "macos") {
        true => metrifold_tests::skip(&format!("no {program} on PATH")),
        false => panic!("there is no {program}; run tests/install.sh"),
    }
}

/// Whether the Prometheus that is installed knows UTF-8 names; `None` if there is none.
fn knows_utf8() -> Option<bool> {
    let Ok(output) = Command::new("prometheus").arg("--version").output() else {
        missing("prometheus");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let major = said.split("version ").nth(1).and_then(|rest| rest.split('.').next()).expect("a version");
    Some(major.parse::<u32>().expect("a number") >= 3)
}

impl Prometheus {
    /// Starts one that scrapes these paths of `target`, each as a job called like it.
    fn start(target: &str, paths: &[String], options: &[&str]) -> Prometheus {
        let directory = tempfile::tempdir().expect("a directory");
        let configuration = directory.path().join("prometheus.yml");
        let mut text = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
        for path in paths {
            text += &format!(
                "- job_name: '{path}'\n  metrics_path: '/{path}'\n  static_configs: [{{targets: ['{target}']}}]\n"
            );
        }
        std::fs::write(&configuration, text).expect("written");
        let free =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .args(options)
            .stderr(Stdio::null())
            .spawn()
            .expect("it told its version");
        let prometheus = Prometheus { process, address: free.to_string(), _directory: directory };
        let began = Instant::now();
        loop {
            let up = prometheus.query("up");
            let is_up = |up: &BTreeMap<String, String>| {
                up.len() == paths.len() && up.values().all(|value| value == "\"1\"")
            };
            if up.as_ref().is_some_and(is_up) {
                return prometheus;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "not up: {up:?}, {}", prometheus.targets());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// What it says of its targets, with the reason of each that is not up.
    fn targets(&self) -> Value {
        self.get("/api/v1/targets").unwrap_or_default()
    }

    /// All samples of an instant query, by name and labels.
    fn query(&self, expression: &str) -> Option<BTreeMap<String, String>> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expression)))?;
        let result = answer["data"]["result"].as_array()?.iter();
        Some(result.map(|sample| (sample["metric"].to_string(), sample["value"][1].to_string())).collect())
    }

    /// The series of a job, but for times of creation and what Prometheus adds.
    fn series(&self, job: &str) -> BTreeMap<String, String> {
        let selector = format!("{{job=\"{job}\",__name__!~\"up|scrape_.*|.*_created\"}}");
        self.query(&selector).expect("an answer")
    }

    /// The exemplars of a job: name and labels of their series, and they themselves.
    fn exemplars(&self, job: &str) -> Vec<(Identity, ExemplarRow)> {
        let query = encoded(&format!("{{job=\"{job}\"}}"));
        let answer = self.get(&format!("/api/v1/query_exemplars?query={query}&start=0&end=9999999999"));
        let answer = answer.expect("an answer");
        let exemplar = |exemplar: &Value| -> ExemplarRow {
            let value: f64 = exemplar["value"].as_str().and_then(|text| text.parse().ok()).expect("a number");
            (label_pairs(&exemplar["labels"]), number(value), exemplar["timestamp"].as_f64().map(number))
        };
        let series = answer["data"].as_array().expect("a list").iter().flat_map(|series| {
            let exemplars = series["exemplars"].as_array().expect("a list").iter();
            exemplars.map(|one| (identity(&series["seriesLabels"]), exemplar(one)))
        });
        series.collect()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Name and labels of a series.
type Identity = (String, Vec<(String, String)>);

fn label_pairs(object: &Value) -> Vec<(String, String)> {
    let pair = |(name, value): (&String, &Value)| (name.clone(), value.as_str().expect("text").to_owned());
    object.as_object().expect("labels").iter().map(pair).collect()
}

/// As Prometheus says it, without the labels of the target.
fn identity(metric: &Value) -> Identity {
    let mut labels = label_pairs(metric);
    labels.retain(|(name, _)| !["__name__", "instance", "job"].contains(&name.as_str()));
    labels.sort();
    (metric["__name__"].as_str().expect("a name").to_owned(), labels)
}

/// As we read it; to Prometheus an empty label is none.
fn identity_of(row: &Row) -> Identity {
    let labels = row.labels.iter().filter(|(_, value)| !value.is_empty()).cloned();
    (row.sample.clone(), labels.collect())
}

/// Prometheus keeps what the view shows, in the format that it asks for by itself: OpenMetrics, or protobuf with native
/// histograms switched on.
#[test]
fn a_real_prometheus_scrapes_every_sample_in_the_format_it_negotiates() {
    let view = every_type();
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let protobuf =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    if knows_utf8().is_none() {
        return;
    }
    for (options, expected) in
        [(&[][..], openmetrics), (&["--enable-feature=native-histograms"][..], protobuf)]
    {
        let (target, answered) = serve(view.clone(), Vec::new());
        let prometheus = Prometheus::start(&target, &["view".into()], options);
        let (content_type, series) = (answered.recv().expect("it was scraped"), prometheus.series("view"));
        // A Prometheus that knows schemes for names hears which one it is.
        assert!(content_type.starts_with(expected), "{content_type}");
        let samples: Vec<_> = view.families.iter().flat_map(Family::samples).collect();
        assert_eq!(series.len(), samples.len(), "{series:#?}");
        for sample in samples {
            let name = Value::from(sample.name).to_string();
            // To Prometheus an empty label is none.
            let labels = sample
                .labels
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)));
            let labels: Vec<_> = labels.collect();
            let is_it = |key: &&String| {
                key.contains(&format!("\"__name__\":{name}"))
                    && labels.iter().all(|label| key.contains(label))
            };
            let key = series.keys().find(is_it);
            let key = key.unwrap_or_else(|| panic!("no {sample:?} in {series:#?}"));
            let value: f64 = series[key].trim_matches('"').parse().expect("a number");
            let is_same = value == sample.value || (value.is_nan() && sample.value.is_nan());
            assert!(is_same, "{sample:?} is {value}, printed {}", format_float(sample.value));
        }
    }
}

/// The formats and schemes for names that the installed Prometheus can read; `None` if there is none.
fn readable() -> Option<Vec<Variant>> {
    let mut variants = vec![
        Variant::new(Format::Text, Escaping::Underscores),
        Variant::new(Format::Text, Escaping::Dots),
        Variant::new(Format::Text, Escaping::Values),
        Variant::new(Format::OpenMetrics1, Escaping::Underscores),
        Variant::new(Format::OpenMetrics1, Escaping::Values),
        Variant::new(Format::Protobuf, Escaping::Underscores),
        Variant::new(Format::Protobuf, Escaping::Values),
    ];
    if knows_utf8()? {
        let in_quotes = [Format::Text1, Format::OpenMetrics1, Format::Protobuf];
        variants.extend(in_quotes.map(|format| Variant::new(format, Escaping::AllowUtf8)));
    }
    Some(variants)
}

fn has_exemplars(variant: Variant) -> bool {
    matches!(variant.format(), Format::OpenMetrics1 | Format::Protobuf)
}

/// Goal: Prometheus reads a page as we do, with every type and name, in formats too that it never asks for by itself, and
/// keeps every exemplar of formats that have them. Method: a target per format and scheme for names, which answers in
/// that whatever it is asked for.
#[test]
fn a_real_prometheus_reads_every_type_and_name_and_exemplar_in_every_format_that_it_knows() {
    let (Some(variants), view) = (readable(), every_type_and_name()) else { return };
    let (target, _answered) = serve(view.clone(), variants.clone());
    let jobs: Vec<_> = (0..variants.len()).map(|index| index.to_string()).collect();
    let prometheus = Prometheus::start(&target, &jobs, &["--enable-feature=exemplar-storage"]);
    for (job, variant) in jobs.iter().zip(&variants) {
        let page = page(&view, *variant);
        let rows = match variant.format() {
            Format::Protobuf => read_protobuf(&page),
            _ => read_text(std::str::from_utf8(&page).expect("UTF-8")),
        };
        let wanted: BTreeMap<_, _> = rows.iter().map(|row| (identity_of(row), row.value.clone())).collect();
        assert_eq!(wanted.len(), rows.len(), "{variant:?}");
        let kept = prometheus.series(job).into_iter().map(|(metric, value)| {
            let metric: Value = serde_json::from_str(&metric).expect("it was JSON");
            (identity(&metric), number(value.trim_matches('"').parse().expect("a number")))
        });
        assert_eq!(kept.collect::<BTreeMap<_, _>>(), wanted, "{variant:?}");
        let exemplars = rows.iter().filter_map(|row| Some((identity_of(row), row.exemplar.clone()?)));
        let exemplars: Vec<_> = exemplars.collect();
        assert_eq!(exemplars.len(), if has_exemplars(*variant) { 4 } else { 0 }, "{variant:?}");
        // One without a time has that of its scrape to Prometheus.
        let untimed = |(series, (labels, value, _)): (Identity, ExemplarRow)| (series, (labels, value, None));
        let kept = prometheus.exemplars(job).into_iter().map(|exemplar| {
            let is_untimed = exemplars.contains(&untimed(exemplar.clone()));
            if is_untimed { untimed(exemplar) } else { exemplar }
        });
        let wanted = exemplars.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(kept.collect::<BTreeSet<_>>(), wanted, "{variant:?}");
    }
}
