//! One scrape, read line by line.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// The samples of one scrape by their text before the value, for example `req_total{code="200"}`.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Values by series.
    pub samples: BTreeMap<String, f64>,
    /// Types by family name, as the `# TYPE` lines say.
    pub types: BTreeMap<String, String>,
}

/// An answer that is no page.
#[derive(Debug)]
pub struct NoPage {
    /// Its status.
    pub status: u16,
    description: String,
}

impl std::fmt::Display for NoPage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.description)
    }
}

impl std::error::Error for NoPage {}

/// The body of a page; [`NoPage`] unless the status is 200.
pub fn get(url: &str) -> Result<String> {
    let mut response = ureq::get(url)
        .config()
        .timeout_global(Some(std::time::Duration::from_secs(20)))
        .http_status_as_error(false)
        .build()
        .call()
        .with_context(|| format!("GET {url}"))?;
    let body = response.body_mut().read_to_string()?;
    let status = response.status();
    ensure!(
        status == 200,
        NoPage { status: status.as_u16(), description: format!("GET {url}: {status} {body}") }
    );
    Ok(body)
}

impl Scrape {
    /// Scrapes a page in text format 0.0.4.
    pub fn of(url: &str) -> Result<Scrape> {
        Scrape::parse(&get(url)?)
    }

    /// Reads text format 0.0.4 without time stamps.
    pub fn parse(text: &str) -> Result<Scrape> {
        let mut scrape = Scrape::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# TYPE ") {
                let (family, kind) = comment.split_once(' ').context("a TYPE line without a type")?;
                scrape.types.insert(family.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (series, value) =
                    line.rsplit_once(' ').with_context(|| format!("no value in {line:?}"))?;
                let value = value.parse().with_context(|| format!("no number in {line:?}"))?;
                ensure!(scrape.samples.insert(series.to_owned(), value).is_none(), "{series} stands twice");
            }
        }
        Ok(scrape)
    }

    /// The value of a series; 0 if it is not there.
    pub fn value(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or(0.0)
    }

    /// Samples whose series text starts with `prefix`.
    pub fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
        let found = self.samples.iter().filter(move |(series, _)| series.starts_with(prefix));
        found.map(|(series, value)| (series.as_str(), *value))
    }

    /// Samples that must never go down: counters, buckets, counts, and sums of histograms and summaries.
    pub fn monotone(&self) -> impl Iterator<Item = (&str, f64)> {
        let samples = self.samples.iter().filter(|(series, _)| self.is_monotone(series));
        samples.map(|(series, value)| (series.as_str(), *value))
    }

    fn is_monotone(&self, series: &str) -> bool {
        let name = series.split('{').next().unwrap_or(series);
        let has_type = |family: &str, kinds: &[&str]| {
            self.types.get(family).is_some_and(|kind| kinds.contains(&kind.as_str()))
        };
        has_type(name, &["counter"])
            || ["_bucket", "_count", "_sum"].iter().any(|suffix| {
                name.strip_suffix(suffix).is_some_and(|family| has_type(family, &["histogram", "summary"]))
            })
    }
}
