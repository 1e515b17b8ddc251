//! `docs/reference/settings.md` and `errors.md` are what the code says. `METRIFOLD_REGENERATE=1` writes them.

use std::{fmt::Write, path::Path, time::Duration};

use metrifold_exporter::ScrapeError;
use metrifold_model::{LabelNames, Namespace};
use metrifold_session::Refusal;

#[test]
fn the_reference_of_settings_is_that_of_the_list() {
    compare("settings.md", &metrifold::config::reference());
}

#[test]
fn the_reference_of_errors_is_what_they_say() {
    compare("errors.md", &errors());
}

fn compare(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("METRIFOLD_REGENERATE").is_some() {
        std::fs::write(&path, page).expect("writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/{name} has drifted; run METRIFOLD_REGENERATE=1 cargo nextest run -p metrifold"
    );
}

const HEAD: &str = "\
# Errors

Made from the code; `METRIFOLD_REGENERATE=1 cargo nextest run -p metrifold` writes it. Wrong settings are named at the start, all at
once, by `metrifold check-config` too. Who may not come in is told by docs/security.md.

## Pushes that are refused

The same push would be refused again, so it is not repeated; later ones of the source may be accepted. Counted by `reason` in
`metrifold_pushes_refused_total`, logged, and shown on the status page and in a client's status.

| what is said | what to do |
|---|---|
";

fn errors() -> String {
    let mut page = HEAD.to_owned();
    for refusal in Refusal::ALL {
        writeln!(page, "| {refusal} | {} |", refusal.remedy()).expect("text");
    }
    page.push_str(
        "\n## Scrapes without a view\n\nRather no answer than one in which a counter falls. Counted by `result` in \
         `metrifold_scrapes_total`.\n\n| result | status | what is said | what to do |\n|---|---|---|---|\n",
    );
    for error in examples() {
        let (name, status, remedy) = (error.name(), error.status().as_u16(), error.remedy());
        writeln!(page, "| `{name}` | {status} | {error} | {remedy} |").expect("text");
    }
    page
}

/// One of each.
fn examples() -> Vec<ScrapeError> {
    let namespace = Namespace::new("shop").expect("a name");
    let examples = vec![
        ScrapeError::Unreadable("the store cannot be reached: connection refused".into()),
        ScrapeError::Sealed { namespace: namespace.clone(), shard: 0 },
        ScrapeError::Settling { namespace, reason: "2 sources have not pushed since".into() },
        ScrapeError::CatchingUp,
        ScrapeError::Deadline(Duration::from_secs(10)),
        ScrapeError::Broken,
        ScrapeError::UnknownNamespace { given: "shpo".into(), known: vec!["shop".into()] },
        ScrapeError::NotArchived { given: "zone".into(), allowed: LabelNames::default() },
    ];
    for (place, error) in examples.iter().enumerate() {
        // A new one does not compile until it has a place above.
        let expected = match error {
            ScrapeError::Unreadable(_) => 0,
            ScrapeError::Sealed { .. } => 1,
            ScrapeError::Settling { .. } => 2,
            ScrapeError::CatchingUp => 3,
            ScrapeError::Deadline(_) => 4,
            ScrapeError::Broken => 5,
            ScrapeError::UnknownNamespace { .. } => 6,
            ScrapeError::NotArchived { .. } => 7,
        };
        assert_eq!(place, expected);
    }
    examples
}
