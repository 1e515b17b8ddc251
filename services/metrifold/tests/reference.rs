//! `docs/reference/settings.md` is what the list of settings says. `METRIFOLD_REGENERATE=1` writes it.

use std::path::Path;

#[test]
fn the_reference_of_settings_is_that_of_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/settings.md");
    let page = metrifold::config::reference();
    if std::env::var_os("METRIFOLD_REGENERATE").is_some() {
        std::fs::write(&path, &page).expect("writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/settings.md has drifted; run METRIFOLD_REGENERATE=1 cargo nextest run -p metrifold"
    );
}
