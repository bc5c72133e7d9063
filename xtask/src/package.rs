//! What all packages are made of: the program in the wanted profile, without symbols, and what it prints about itself.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::process::run;
use crate::{Outcome, suite, workspace};

/// What the options `--profile` and `--target` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) profile: Profile,
    /// The target triple; this machine's own if it was not given.
    pub(crate) target: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What is handed out: optimised as a whole, and linked statically where the target can be.
    Dist,
    /// What the tests use.
    Dev,
}

impl Choice {
    pub(crate) fn new(profile: Option<&str>, target: Option<String>) -> Result<Self, String> {
        let profile = match profile {
            None | Some("dist") => Profile::Dist,
            Some("dev") => Profile::Dev,
            Some(other) => return Err(format!("no profile `{other}`: dist or dev")),
        };
        let host = host()?;
        let target = target.unwrap_or_else(|| host.clone());
        if profile == Profile::Dev && target != host {
            return Err(format!(
                "--profile dev takes the program of the tests, which is for {host} only; leave --target out"
            ));
        }
        Ok(Self { profile, target })
    }

    /// Whether the program needs no libraries of the system.
    pub(crate) fn is_static(&self) -> bool {
        self.profile == Profile::Dist && self.target.contains("-linux-")
    }

    /// Builds the program, and puts a copy without symbols to `to`.
    pub(crate) fn build(&self, to: &Path) -> Outcome {
        let target_directory = workspace::target_directory()?;
        let built = match self.profile {
            Profile::Dev => {
                suite::build()?;
                target_directory.join("debug/ferromcp")
            }
            Profile::Dist => {
                run(workspace::cargo()
                    .args([
                        "build",
                        "--locked",
                        "--profile",
                        "dist",
                        "--package",
                        "ferromcp-cli",
                    ])
                    .args(["--target", &self.target])
                    .env_remove("RUSTFLAGS")
                    .env("CARGO_ENCODED_RUSTFLAGS", self.flags()?))?;
                target_directory.join(&self.target).join("dist/ferromcp")
            }
        };
        copy(&built, to, 0o755)?;
        match self.profile {
            // Cargo did it.
            Profile::Dist => Ok(()),
            Profile::Dev => run(Command::new("strip").arg(to))
                .map_err(|message| format!("{message}\n  strip comes with the linker: install binutils")),
        }
    }

    /// Linked as a whole, and without the paths of the machine that builds it.
    fn flags(&self) -> Result<String, String> {
        let mut flags = Vec::new();
        if let Some(given) = std::env::var_os("RUSTFLAGS") {
            flags.extend(given.to_string_lossy().split_whitespace().map(str::to_owned));
        }
        if self.is_static() {
            flags.push("-Ctarget-feature=+crt-static".to_owned());
            // Relative relocations in a fortieth of the room; the program applies them to itself, whatever the system's C library.
            flags.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
        }
        let home = std::env::var_os("CARGO_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
            PathBuf::from,
        );
        for (from, to) in [(home, "/cargo"), (workspace::root(), "/ferromcp")] {
            let from = from
                .to_str()
                .ok_or_else(|| format!("{}: the path is not UTF-8, build elsewhere", from.display()))?;
            flags.push(format!("--remap-path-prefix={from}={to}"));
        }
        Ok(flags.join("\u{1f}"))
    }
}

/// The values of a command's options, in the order of their names.
pub(crate) fn options<const N: usize>(
    command: &str,
    names: [&str; N],
    arguments: &[String],
) -> Result<[Option<String>; N], String> {
    let mut values = [const { None }; N];
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let at = names
            .iter()
            .position(|name| name == argument)
            .ok_or_else(|| format!("`{argument}` is no option; see cargo xtask {command} --help"))?;
        let value = arguments
            .next()
            .ok_or_else(|| format!("{argument} needs a value"))?;
        values[at] = Some(value.clone());
    }
    Ok(values)
}

/// The triple that `rustc` builds for when nobody says otherwise.
pub(crate) fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = output(Command::new(rustc).arg("-vV").current_dir(workspace::root()))?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// The version of the workspace.
pub(crate) fn version() -> Result<String, String> {
    package("ferromcp-cli")?["version"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "ferromcp-cli has no version".to_owned())
}

/// What `cargo metadata` says of a package of the workspace.
pub(crate) fn package(name: &str) -> Result<&'static serde_json::Value, String> {
    workspace::metadata()?["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == name)
        .ok_or_else(|| format!("the workspace has no package {name}"))
}

/// What a program prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = crate::process::show(command);
    let output = command
        .output()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{shown}` failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` printed what is not UTF-8"))
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sha256(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut hex = String::new();
    for byte in Sha256::digest(&bytes) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// Copies a file, and the directories above it into being.
pub(crate) fn copy(from: &Path, to: &Path, mode: u32) -> Outcome {
    directory(to.parent().unwrap_or(Path::new(".")), 0o755)?;
    // A program that runs cannot be written to, but its name can be given to another.
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to)
        .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
    permit(to, mode)
}

pub(crate) fn write(to: &Path, content: impl AsRef<[u8]>) -> Outcome {
    directory(to.parent().unwrap_or(Path::new(".")), 0o755)?;
    std::fs::write(to, content).map_err(|error| format!("cannot write {}: {error}", to.display()))?;
    permit(to, 0o644)
}

/// Makes a directory; its mode does not depend on who makes it.
pub(crate) fn directory(path: &Path, mode: u32) -> Outcome {
    if path.is_dir() && mode == 0o755 {
        return Ok(());
    }
    std::fs::create_dir_all(path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    permit(path, mode)
}

/// Makes a directory that has nothing in it.
pub(crate) fn empty(path: &Path) -> Outcome {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot empty {}: {error}", path.display()))
        }
        _ => directory(path, 0o755),
    }
}

fn permit(path: &Path, mode: u32) -> Outcome {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| format!("cannot set the mode of {}: {error}", path.display()))
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let whole = bytes / 1_000_000;
    let tenth = bytes % 1_000_000 / 100_000;
    format!("{whole}.{tenth} MB")
}
