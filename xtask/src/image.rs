//! `cargo xtask image`: the root filesystem of the container image, and the image where an engine is at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::package::{Choice, Profile, copy, directory, empty, options, output, size, write};
use crate::process::run;
use crate::{Outcome, dist, package, packages, peers, sbom, workspace};

pub(crate) const HELP: &str = "\
cargo xtask image [--profile dist|dev] [--target TRIPLE] [--rootfs DIR]

Builds the program (profile dist: optimised, linked statically on Linux), puts together the root filesystem of the
container image in target/image/rootfs, builds the image from it with buildah if that is installed, and checks both: size, the
user, a read-only root, calls under load and the memory that they take. What cannot be checked here is said.

--rootfs DIR only puts the root filesystem together, in DIR. The Dockerfile does that.
--target is for a machine of another kind, whose linker and Rust target must be installed.
--profile dev takes the program of the tests and the libraries that it is linked with.";

/// The Dockerfile copies from here what is built already.
const ROOTFS: &str = "image/rootfs";
/// Compressed, as registries keep it. A small image starts soon on a machine that has never seen it.
const LARGEST: u64 = 15_000_000;
/// Where Debian, Ubuntu, Alpine and Arch, and then Fedora, keep the certificates of all authorities.
const AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let [profile, target, rootfs] = options("image", ["--profile", "--target", "--rootfs"], arguments)?;
    let choice = Choice::new(profile.as_deref(), target)?;
    if let Some(rootfs) = rootfs {
        return assemble(&choice, Path::new(&rootfs));
    }
    let rootfs = default_rootfs()?;
    assemble(&choice, &rootfs)?;
    let bytes = dist::compressed(&rootfs)?;
    println!(
        "{}: {}, compressed {}",
        rootfs.display(),
        size(weigh(&rootfs)?),
        size(bytes)
    );
    if choice.profile == Profile::Dist && bytes > LARGEST {
        return Err(format!(
            "the image is {} compressed and must not be more than {}: see which crate grew with `cargo bloat --crates`",
            size(bytes),
            size(LARGEST)
        ));
    }
    if choice.target != package::host()? {
        println!("NOT RUN: the image is for {}", choice.target);
        return Ok(());
    }
    let python = peers::install_packages()?;
    run(packages::pytest(&python, &["test_image.py"])
        .arg("-rP")
        .env("FERROMCP_ROOTFS", &rootfs)
        .env("FERROMCP_BIN", rootfs.join("usr/bin/ferromcp")))
}

pub(crate) fn default_rootfs() -> Result<PathBuf, String> {
    Ok(workspace::target_directory()?.join(ROOTFS))
}

/// Everything that the image holds, as a directory.
pub(crate) fn assemble(choice: &Choice, rootfs: &Path) -> Outcome {
    empty(rootfs)?;
    let program = rootfs.join("usr/bin/ferromcp");
    choice.build(&program)?;
    if !choice.is_static() {
        libraries(&program, rootfs)?;
    }
    let root = workspace::root();
    copy(
        &root.join("packaging/container/ferromcp.yaml"),
        &rootfs.join("etc/ferromcp/ferromcp.yaml"),
        0o644,
    )?;
    let documents = rootfs.join("usr/share/doc/ferromcp");
    copy(&root.join("LICENSE"), &documents.join("LICENSE"), 0o644)?;
    write(&documents.join("sbom.cdx.json"), sbom::make(&choice.target)?)?;
    let authorities = AUTHORITIES
        .iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .ok_or("this machine has no certificates of authorities for the image: install ca-certificates")?;
    copy(
        authorities,
        &rootfs.join("etc/ssl/certs/ca-certificates.crt"),
        0o644,
    )?;
    write(
        &rootfs.join("etc/passwd"),
        "root:x:0:0:root:/:/sbin/nologin\nferromcp:x:65532:65532:FerroMCP:/var/lib/ferromcp:/sbin/nologin\n",
    )?;
    write(&rootfs.join("etc/group"), "root:x:0:\nferromcp:x:65532:\n")?;
    write(&rootfs.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    // Where engines put what is mounted.
    for name in ["dev", "proc", "sys"] {
        directory(&rootfs.join(name), 0o755)?;
    }
    directory(&rootfs.join("tmp"), 0o1777)?;
    directory(&rootfs.join("var/lib/ferromcp"), 0o750)
}

/// Copies the shared libraries that the program is linked with, and the loader, to the same places.
fn libraries(program: &Path, rootfs: &Path) -> Outcome {
    for path in linked(&output(Command::new("ldd").arg(program))?) {
        let inside = rootfs.join(path.trim_start_matches('/'));
        copy(Path::new(path), &inside, 0o755)?;
    }
    Ok(())
}

/// The files in what ldd prints: `libc.so.6 => /lib/libc.so.6 (0x7f...)` and `/lib64/ld-linux.so.2 (0x7f...)`.
fn linked(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .filter_map(|line| {
            let line = line.trim().split(" (0x").next()?;
            let path = line.rsplit(" => ").next()?;
            path.starts_with('/').then_some(path)
        })
        .collect()
}

/// Bytes of all files below a directory.
fn weigh(directory: &Path) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let mut sum = 0;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        sum += if metadata.is_dir() {
            weigh(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_taken_from_what_ldd_prints() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        assert_eq!(
            linked(printed),
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        assert!(linked("\tstatically linked\n").is_empty());
    }
}
