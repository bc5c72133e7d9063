//! A browser for the tests of the TypeScript SDK, where the machine has none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::{Outcome, peers, workspace};

/// Where there is a Chromium that npm can bring.
const SUPPORTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Programs that the tests take from `PATH`, as in `sdk/typescript/test/browser.test.mjs`.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Installs Chromium into `.peers/chromium`, some 70 MB to fetch and 210 MB on the disk, unless the machine has one. The tests find it
/// there. Elsewhere than on Linux on x86-64 they are skipped without one, and say so.
pub(crate) fn install() -> Outcome {
    let chosen = std::env::var_os("CHROMIUM_BIN").is_some();
    if chosen || !SUPPORTED || in_path(&std::env::var_os("PATH").unwrap_or_default()).is_some() {
        return Ok(());
    }
    let root = workspace::root();
    let directory = root.join(".peers/chromium");
    peers::install_npm(&root.join("tests/peers/chromium"), &directory, || {
        run(Command::new("node").arg(directory.join("unpack.mjs")))
    })
}

fn in_path(path: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .flat_map(|place| NAMES.iter().map(move |name| place.join(name)))
        .find(|file| runs(file))
}

fn runs(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_a_program_in_the_path() {
        let directory = workspace::target_directory().unwrap().join("browser-test");
        let _ = std::fs::remove_dir_all(&directory);
        let (first, second) = (directory.join("first"), directory.join("second"));
        for place in [&first, &second] {
            std::fs::create_dir_all(place).unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(in_path(&path), None);
        // A directory and a file that nobody may run are none.
        std::fs::create_dir(first.join("chromium")).unwrap();
        std::fs::write(first.join("google-chrome"), "").unwrap();
        assert_eq!(in_path(&path), None);
        let program = second.join("chromium-browser");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(in_path(&path), Some(program));
        assert_eq!(in_path("".as_ref()), None);
    }
}
