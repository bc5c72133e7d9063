//! `cargo xtask dist`: what a release hands out.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::{Compression, GzBuilder};

use crate::package::{Choice, copy, empty, options, output, sha256, size, version, write};
use crate::{Outcome, sbom, workspace};

pub(crate) const HELP: &str = "\
cargo xtask dist [--profile dist|dev] [--target TRIPLE] [--out DIR]

Builds the program and makes, in target/packages or DIR:
  ferromcp-VERSION-TARGET.tar.gz     program, licence, README, completions, manual pages, systemd unit, bill of materials
  ferromcp-VERSION-TARGET.cdx.json   the bill of materials alone (CycloneDX)
  ferromcp-chart-VERSION.tgz         the Helm chart
  SHA256SUMS                         for `sha256sum --check`
The same sources and toolchain give the same bytes. Times in the archive are SOURCE_DATE_EPOCH, or 1980-01-01.

--target is for a machine of another kind, whose linker and Rust target must be installed; completions and manual pages
are then made by the program of the tests.
--profile dev takes the program of the tests: quick, large and slow.";

/// The oldest time that all archive formats know: 1980-01-01.
const EPOCH: u64 = 315_532_800;

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let [profile, target, out] = options("dist", ["--profile", "--target", "--out"], arguments)?;
    let choice = Choice::new(profile.as_deref(), target)?;
    let out = match out {
        Some(directory) => PathBuf::from(directory),
        None => workspace::target_directory()?.join("packages"),
    };
    for path in make(&choice, &out)? {
        let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        println!("{:>9}  {}", size(bytes), path.display());
    }
    Ok(())
}

/// The name of the archive, and of the directory in it.
pub(crate) fn name(target: &str) -> Result<String, String> {
    Ok(format!("ferromcp-{}-{target}", version()?))
}

/// Makes all files; answers their paths.
pub(crate) fn make(choice: &Choice, out: &Path) -> Result<Vec<PathBuf>, String> {
    let name = name(&choice.target)?;
    let tree = workspace::target_directory()?.join("dist-tree");
    empty(&tree)?;
    fill(choice, &tree)?;
    empty(out)?;
    let archive = out.join(format!("{name}.tar.gz"));
    pack(&tree, &name, &archive, time()?)?;
    let bill = out.join(format!("{name}.cdx.json"));
    copy(&tree.join("sbom.cdx.json"), &bill, 0o644)?;
    let chart = out.join(format!("ferromcp-chart-{}.tgz", version()?));
    let chart_tree = workspace::root().join("packaging/helm/ferromcp");
    // Helm wants the chart's name as the directory.
    pack(&chart_tree, "ferromcp", &chart, time()?)?;
    let mut sums = String::new();
    for path in [&bill, &archive, &chart] {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        sums.push_str(&format!("{}  {file}\n", sha256(path)?));
    }
    let checksums = out.join("SHA256SUMS");
    write(&checksums, sums)?;
    Ok(vec![tree.join("ferromcp"), archive, bill, chart, checksums])
}

fn fill(choice: &Choice, tree: &Path) -> Outcome {
    let program = tree.join("ferromcp");
    choice.build(&program)?;
    let root = workspace::root();
    for (from, to) in [
        ("LICENSE", "LICENSE"),
        ("README.md", "README.md"),
        ("packaging/systemd/ferromcp.service", "systemd/ferromcp.service"),
        ("packaging/systemd/ferromcp.yaml", "systemd/ferromcp.yaml"),
    ] {
        copy(&root.join(from), &tree.join(to), 0o644)?;
    }
    write(&tree.join("sbom.cdx.json"), sbom::make(&choice.target)?)?;
    // What says the same on every machine can be asked of the program that runs on this one.
    let speaker = if choice.target == crate::package::host()? {
        program
    } else {
        crate::suite::build()?;
        workspace::target_directory()?.join("debug/ferromcp")
    };
    for (shell, file) in [
        ("bash", "ferromcp.bash"),
        ("zsh", "_ferromcp"),
        ("fish", "ferromcp.fish"),
    ] {
        let script = output(Command::new(&speaker).args(["completions", shell]))?;
        write(&tree.join("completions").join(file), script)?;
    }
    let pages = tree.join("man/man1");
    output(Command::new(&speaker).args(["man", "--dir"]).arg(&pages)).map(|_| ())
}

/// What `SOURCE_DATE_EPOCH` says, <https://reproducible-builds.org/specs/source-date-epoch/>.
fn time() -> Result<u64, String> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(EPOCH),
        Ok(text) => text
            .parse()
            .map_err(|_| format!("SOURCE_DATE_EPOCH must be seconds since 1970, not `{text}`")),
    }
}

/// Writes `tree` as `name/` to an archive in which nothing depends on the machine or the hour.
fn pack(tree: &Path, name: &str, archive: &Path, time: u64) -> Outcome {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", archive.display());
    let file = File::create(archive).map_err(failed)?;
    let gzip = GzBuilder::new().mtime(0).write(file, Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for path in files(tree)? {
        let content =
            std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let inside = path.strip_prefix(tree).unwrap_or(&path);
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(if inside == Path::new("ferromcp") {
            0o755
        } else {
            0o644
        });
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, Path::new(name).join(inside), content.as_slice())
            .map_err(failed)?;
    }
    let mut gzip = tar.into_inner().map_err(failed)?;
    gzip.flush().map_err(failed)?;
    gzip.finish().map(|_| ()).map_err(failed)
}

/// How many bytes a directory is as a compressed archive.
pub(crate) fn compressed(tree: &Path) -> Result<u64, String> {
    let archive = tree.with_extension("tar.gz");
    pack(tree, "", &archive, EPOCH)?;
    let bytes = std::fs::metadata(&archive)
        .map_err(|error| format!("cannot read {}: {error}", archive.display()))?
        .len();
    std::fs::remove_file(&archive)
        .map_err(|error| format!("cannot remove {}: {error}", archive.display()))?;
    Ok(bytes)
}

/// All files below a directory, sorted.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
