//! The `metrifold` binary; everything it does is in the library.

use clap::Parser;

fn main() -> std::process::ExitCode {
    metrifold::execute(metrifold::cli::Cli::parse())
}
