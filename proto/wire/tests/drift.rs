//! The checked-in generated code is what the `.proto` files say. `METRIFOLD_REGENERATE=1` writes it.

use std::{error::Error, fs, path::Path};

use prost::Message;

fn generate(directory: &Path) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(["metrifold/v1/ingest.proto"], [&root])?;
    fs::write(directory.join("metrifold.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().out_dir(directory).compile_fds(descriptors)?;
    Ok(())
}

#[test]
fn generated_code_is_what_the_proto_files_say() -> Result<(), Box<dyn Error>> {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    if std::env::var_os("METRIFOLD_REGENERATE").is_some() {
        return generate(&checked_in);
    }
    let fresh = tempfile::tempdir()?;
    generate(fresh.path())?;
    for name in ["metrifold.v1.rs", "metrifold.v1.bin"] {
        let same = fs::read(fresh.path().join(name))? == fs::read(checked_in.join(name))?;
        assert!(same, "{name} has drifted; run METRIFOLD_REGENERATE=1 cargo test -p metrifold-wire");
    }
    Ok(())
}
