//! From the proto file to Rust, without protoc.

use std::path::PathBuf;

use prost::Message as _;

/// Where the proto files are.
const ROOT: &str = "../../proto";
const FILE: &str = "ferromcp/v1/ferromcp.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={ROOT}/{FILE}");
    let described = protox::compile([FILE], [ROOT])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Reflection hands this to clients.
    std::fs::write(out.join("descriptors.bin"), described.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(true)
        .bytes(".")
        .compile_fds(described)?;
    Ok(())
}
