//! Headers that are added to every answer.

use http::{HeaderName, HeaderValue};

use super::{Problems, document::Section, suggestion};

/// The headers that exporters allow, each with its only values where they are few.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

pub(super) fn read(http: &Section<'_>, problems: &Problems) -> Vec<(HeaderName, HeaderValue)> {
    let place = http.place("headers");
    let Some(node) = http.node("headers") else { return Vec::new() };
    let section = Section::new(&place, node, problems);
    let names = HEADERS.map(|(name, _)| name);
    let known = |(name, _): &(String, _)| {
        let is_known = names.contains(&name.as_str());
        if !is_known {
            let message = format!("this header cannot be set here{}", suggestion(name, &names));
            problems.add(section.place(name), message);
        }
        is_known
    };
    let named = section.entries().into_iter().filter(known);
    named.filter_map(|(name, _)| header(&name, &section.text(&name)?, &section, problems)).collect()
}

fn header(
    name: &str,
    value: &str,
    section: &Section<'_>,
    problems: &Problems,
) -> Option<(HeaderName, HeaderValue)> {
    let (_, allowed) = HEADERS.iter().find(|(known, _)| *known == name)?;
    let is_allowed = allowed.is_empty() || allowed.contains(&value);
    let checked =
        is_allowed.then_some(()).ok_or(format!("{value:?} is not allowed; use {}", allowed.join(" or ")));
    let made = checked.and_then(|()| HeaderValue::from_str(value).map_err(|error| error.to_string()));
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, problems.take(&section.place(name), made)?))
}
