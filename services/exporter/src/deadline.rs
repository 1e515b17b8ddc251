//! How long a scrape may take.

use std::time::Duration;

use axum::http::HeaderMap;

/// The header in which Prometheus says when it gives up.
const SCRAPE_TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// Time left to send the answer before Prometheus gives up; of a short time-out at most half.
const MARGIN: Duration = Duration::from_millis(500);

/// The shorter of the setting and what Prometheus allows, less a margin.
pub(crate) fn deadline(headers: &HeaderMap, setting: Duration) -> Duration {
    let asked = headers.get(SCRAPE_TIMEOUT_HEADER).and_then(|value| value.to_str().ok());
    let asked = asked
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match asked.filter(|asked| !asked.is_zero()) {
        Some(asked) => setting.min(asked.saturating_sub(MARGIN).max(asked / 2)),
        None => setting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scraper_is_answered_before_it_gives_up() {
        let setting = Duration::from_secs(10);
        for (header, expected) in [
            (None, 10.0),
            (Some("3"), 2.5),
            (Some("0.4"), 0.2),
            (Some("60"), 10.0),
            (Some("0"), 10.0),
            (Some("-1"), 10.0),
            (Some("NaN"), 10.0),
            (Some("soon"), 10.0),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(SCRAPE_TIMEOUT_HEADER, header.parse().expect("a header value"));
            }
            assert_eq!(deadline(&headers, setting).as_secs_f64(), expected, "{header:?}");
        }
    }
}
