//! `docs/reference/settings.md`, made of the list of settings.

use super::{Settings, environment::variable_of, keys, keys::Key};

/// Defaults that depend on the machine.
const OF_THE_MACHINE: [(&str, &str); 2] =
    [("agent.segment_dir", "`/dev/shm/metrifold-<uid>`"), ("agent.instance", "the host's name")];

const HEAD: &str = "\
# Settings of servers

Made from the list in `services/metrifold/src/config/keys.rs`; `METRIFOLD_REGENERATE=1 cargo nextest run -p metrifold` writes it.

A flag wins over the environment, the environment over the file (`--config`, TOML or YAML), the file over the default.
In a file, `workers.ttl` is `ttl` in the section `workers`. `metrifold check-config` prints what is in force and where it came
from, or everything that is wrong. A SPAN is a time such as `500ms`, `30s` or `24h`; NAMES are separated by commas.
";

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let defaults = Settings::default();
    let mut section = "";
    for key in keys::ALL {
        let (own, _) = key.name.split_once('.').unwrap_or((key.name, ""));
        if own != section {
            section = own;
            page.push_str(&format!("\n## {section}\n\n| setting | value | default | named by | meaning |\n|---|---|---|---|---|\n"));
        }
        page.push_str(&row(key, &defaults));
    }
    page
}

fn row(key: &Key, defaults: &Settings) -> String {
    let of_the_machine = OF_THE_MACHINE.iter().find(|(name, _)| *name == key.name);
    let default = match ((key.show)(defaults), of_the_machine) {
        (_, Some((_, words))) => (*words).to_owned(),
        (none, None) if none.is_empty() || none == "none" => "none".to_owned(),
        (value, None) => format!("`{value}`"),
    };
    let flag = key.flag.map(|flag| format!("`--{flag}`"));
    let variables = key.variables.iter().rev().map(|name| format!("`{name}`"));
    let own = format!("`{}`", variable_of(key.name));
    let named: Vec<_> = flag.into_iter().chain([own]).chain(variables).collect();
    let form = key.form.replace('|', "\\|");
    format!("| `{}` | {form} | {default} | {} | {} |\n", key.name, named.join(", "), key.help)
}
