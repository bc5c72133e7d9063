//! Facts about this workspace: where it is, where its artifacts are, what its packages depend on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The workspace root: the parent of xtask's own manifest directory.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(
        || PathBuf::from(option_env!("CARGO_MANIFEST_DIR").unwrap_or("xtask")),
        PathBuf::from,
    );
    manifest
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The cargo that started us, so that a toolchain override holds for everything below.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // Set for xtask itself by `cargo run`; a nested cargo must not take them for its own.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PKG_NAME",
        "CARGO_PKG_VERSION",
    ] {
        command.env_remove(name);
    }
    command
}

/// `cargo metadata` without the dependencies' own entries.
pub(crate) fn metadata() -> Result<&'static Value, String> {
    static METADATA: OnceLock<Result<Value, String>> = OnceLock::new();
    METADATA
        .get_or_init(|| {
            let output = cargo()
                .args(["metadata", "--format-version", "1", "--no-deps"])
                .output()
                .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
            if !output.status.success() {
                return Err(format!(
                    "cargo metadata failed:\n{}",
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            serde_json::from_slice(&output.stdout)
                .map_err(|error| format!("cargo metadata is no JSON: {error}"))
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// Where cargo puts what it builds; follows `CARGO_TARGET_DIR` and the cargo configuration.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    metadata()?["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata names no target directory".to_owned())
}

/// A normal dependency, or build dependency, of a workspace package.
pub(crate) struct Dependency {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Every dependency that the workspace's manifests name, dev-dependencies left out.
pub(crate) fn dependencies() -> Result<Vec<Dependency>, String> {
    let packages = metadata()?["packages"]
        .as_array()
        .ok_or("cargo metadata lists no packages")?;
    let mut found = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["kind"].as_str() != Some("dev") {
                let to = dependency["name"].as_str().unwrap_or_default();
                found.push(Dependency {
                    from: from.to_owned(),
                    to: to.to_owned(),
                });
            }
        }
    }
    Ok(found)
}
