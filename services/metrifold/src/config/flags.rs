//! The flags that settings have, made of their list.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{Layer, keys, keys::Key};

/// The flags of settings: of all of them, or of those of one section.
#[derive(Clone, Debug, Default)]
pub struct Flags<const ONLY_REDIS: bool>(pub(crate) Layer);

/// The flags of every server role.
pub type ServerFlags = Flags<false>;
/// The flags that say which Redis, and which namespace in it.
pub type RedisFlags = Flags<true>;

impl<const ONLY_REDIS: bool> Flags<ONLY_REDIS> {
    fn all() -> impl Iterator<Item = (&'static Key, &'static str)> {
        let of_interest = keys::ALL.iter().filter(|key| !ONLY_REDIS || key.name.starts_with("redis."));
        of_interest.filter_map(|key| Some((key, key.flag?)))
    }
}

impl<const ONLY_REDIS: bool> Args for Flags<ONLY_REDIS> {
    fn augment_args(command: Command) -> Command {
        Self::all().fold(command, |command, (key, flag)| command.arg(argument(key, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The reference says more than the first sentence.
fn argument(key: &Key, flag: &'static str) -> Arg {
    let first = key.help.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let help = format!("{} [{}]", first.replace('`', ""), key.name);
    let argument = Arg::new(flag).long(flag).help(help).value_name(key.form);
    match key.form {
        // Given alone it says yes.
        "true | false" => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => argument,
    }
}

impl<const ONLY_REDIS: bool> FromArgMatches for Flags<ONLY_REDIS> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut layer = Layer::default();
        for (key, flag) in Self::all() {
            if let Some(value) = matches.get_one::<String>(flag) {
                layer.set(key.name, value, format!("the flag --{flag}"));
            }
        }
        Ok(Flags(layer))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
