//! What is handed out, tested as it is handed out: archive, container image, compose file, systemd unit.
//!
//! The tests are in `packaging/tests`. They need Python packages from PyPI, and use buildah and systemd-analyze
//! where they are installed.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::package::Choice;
use crate::report::Suite;
use crate::{dist, image, peers, sdk, workspace};

/// Makes the packages from the program of the tests, and runs the tests.
pub(crate) fn suite() -> Result<Suite, String> {
    let started = Instant::now();
    let python = peers::install_packages()?;
    let choice = Choice::new(Some("dev"), None)?;
    let target = workspace::target_directory()?;
    let (first, second) = (target.join("packages-test/1"), target.join("packages-test/2"));
    dist::make(&choice, &first)?;
    dist::make(&choice, &second)?;
    let rootfs = image::default_rootfs()?;
    image::assemble(&choice, &rootfs)?;
    let mut command = pytest(&python, &["."]);
    command
        .env("FERROMCP_DIST", first)
        .env("FERROMCP_DIST_AGAIN", second)
        .env("FERROMCP_ROOTFS", rootfs);
    sdk::test("packages", command, sdk::pytest, started)
}

/// pytest on files of `packaging/tests`, with a summary that names every test.
pub(crate) fn pytest(python: &Path, files: &[&str]) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "-q", "--tb=short", "--color=no", "-rpfEs"])
        .args(["-p", "no:cacheprovider", "--show-capture=no"])
        .args(files.iter().map(|file| Path::new("tests").join(file)))
        .current_dir(workspace::root().join("packaging"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
