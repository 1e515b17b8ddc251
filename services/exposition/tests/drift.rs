//! The checked-in generated code is what the `.proto` file says. `METRIFOLD_REGENERATE=1` writes it.

#![expect(clippy::disallowed_methods, reason = "the crate is pure, its tests are not")]

use std::{error::Error, fs, path::Path};

fn generate(directory: &Path) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(["io/prometheus/client/metrics.proto"], [&root])?;
    tonic_prost_build::configure().out_dir(directory).compile_fds(descriptors)?;
    Ok(())
}

#[test]
fn generated_code_is_what_the_proto_file_says() -> Result<(), Box<dyn Error>> {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    if std::env::var_os("METRIFOLD_REGENERATE").is_some() {
        return generate(&checked_in);
    }
    let fresh = tempfile::tempdir()?;
    generate(fresh.path())?;
    let name = "io.prometheus.client.rs";
    let same = fs::read(fresh.path().join(name))? == fs::read(checked_in.join(name))?;
    assert!(same, "{name} has drifted; run METRIFOLD_REGENERATE=1 cargo test -p metrifold-exposition");
    Ok(())
}
