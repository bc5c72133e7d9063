//! Credentials, certificates and directories.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ferromcp_config::{Config, CredentialFrom, Loaded, SignKey, credentials as uses};
use ferromcp_tls::{Part, end_of};

use super::finding::Finding;
use crate::build;

const DAY: u64 = 86_400;
/// A certificate that ends sooner is warned of.
const SOON: Duration = Duration::from_secs(14 * DAY);
/// Free space below which is warned of, in bytes.
const LITTLE: u64 = 1 << 30;

/// Whether credentials are there, and nobody else can read them. That variables are set and files can be read was found out when
/// the configuration was.
pub(super) fn credentials(loaded: &Loaded, path: &Path) -> Vec<Finding> {
    const CHECK: &str = "credentials";
    let used = uses(&loaded.text, path);
    let mut found = Vec::new();
    let mut secret_files: Vec<(String, PathBuf)> = Vec::new();
    let mut literal = Vec::new();
    for one in &used {
        match &one.from {
            CredentialFrom::Variable(name) if std::env::var(name).is_ok_and(|value| value.is_empty()) => {
                found.push(Finding::warn(
                    CHECK,
                    format!("{}: the environment variable {name} is empty", one.path),
                    format!("set {name} before ferromcp starts"),
                ));
            }
            CredentialFrom::Variable(_) => {}
            CredentialFrom::File(file) => secret_files.push((one.path.clone(), file.clone())),
            CredentialFrom::Literal => literal.push(format!("{} (line {})", one.path, one.line)),
        }
    }
    let references = used.len() - literal.len();
    let config = &loaded.config;
    if let Some(tls) = &config.listen.tls {
        secret_files.push(("listen.tls.key".to_owned(), tls.key.clone()));
    }
    if let Some(SignKey::File(file)) = config.audit.log.as_ref().and_then(|log| log.sign_key.as_ref()) {
        secret_files.push(("audit.sign_key".to_owned(), file.clone()));
    }
    if !literal.is_empty() {
        secret_files.push((
            format!("secrets in it: {}", literal.join(", ")),
            path.to_path_buf(),
        ));
    }
    for (what, file) in secret_files {
        if is_open_to_all(&file) {
            found.push(Finding::warn(
                CHECK,
                format!(
                    "{} can be read by everybody on this machine ({what})",
                    file.display()
                ),
                format!("chmod 600 {}", file.display()),
            ));
        }
    }
    if found.is_empty() {
        found.push(Finding::ok(
            CHECK,
            format!(
                "{references} references to variables and files, all there; {} in the file itself",
                literal.len()
            ),
        ));
    }
    found
}

#[cfg(unix)]
fn is_open_to_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

pub(super) fn certificates(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "listen.tls";
    let Some(tls) = &config.listen.tls else {
        return Vec::new();
    };
    if let Err(error) = build::tls(config) {
        return vec![Finding::fail(
            CHECK,
            error.to_string(),
            "put a certificate and its key in place (PEM)",
        )];
    }
    let mut files = vec![("certificate", Part::Certificate, &tls.cert)];
    files.extend(tls.client_ca.as_ref().map(|ca| ("client_ca", Part::ClientCa, ca)));
    files
        .into_iter()
        .map(|(what, part, file)| {
            let shown = file.display();
            match end_of(part, file) {
                Ok(end) => lifetime(CHECK, what, &shown.to_string(), end),
                Err(error) => Finding::fail(CHECK, format!("{shown}: {}", error.problem), error.hint),
            }
        })
        .collect()
}

fn lifetime(check: &str, what: &str, file: &str, end: SystemTime) -> Finding {
    let date = humantime::format_rfc3339_seconds(end);
    let fix = format!("put a new {what} in place; it is used without a restart");
    match end.duration_since(SystemTime::now()) {
        Err(_) => Finding::fail(check, format!("{file}: the {what} ended on {date}"), fix),
        Ok(left) if left < SOON => Finding::warn(
            check,
            format!(
                "{file}: the {what} ends in {} days ({date})",
                left.as_secs() / DAY
            ),
            fix,
        ),
        Ok(left) => Finding::ok(
            check,
            format!(
                "{file}: the {what} is readable{} and ends in {} days",
                if what == "certificate" {
                    ", fits its key"
                } else {
                    ""
                },
                left.as_secs() / DAY
            ),
        ),
    }
}

pub(super) fn directories(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(log) = &config.audit.log {
        found.push(directory("audit.file", &log.directory, log.rotate_size));
    }
    if let Some(admin) = &config.admin {
        found.push(directory("admin.store", &admin.store, 1 << 20));
    }
    found
}

/// Whether files can be written there, at least of this size.
#[cfg(unix)]
fn directory(check: &str, path: &Path, needed: u64) -> Finding {
    use rustix::fs::{Access, access, statvfs};
    let shown = path.display();
    let there = path
        .ancestors()
        .find(|one| one.exists())
        .unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() {
        Path::new(".")
    } else {
        there
    };
    if !there.is_dir() {
        return Finding::fail(
            check,
            format!("{} is not a directory", there.display()),
            format!("set another {check}"),
        );
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        return Finding::fail(
            check,
            format!(
                "{shown} cannot be written: {}",
                std::io::Error::from(error).kind()
            ),
            format!("let the user of ferromcp write to {}", there.display()),
        );
    }
    let free = match statvfs(there) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Finding::warn(
                check,
                format!("{shown}: the free space is not known: {error}"),
                "look with `df`",
            );
        }
    };
    let mib = free >> 20;
    if free < needed {
        return Finding::fail(
            check,
            format!("{shown}: {mib} MiB are free, {} MiB are needed", needed >> 20),
            "make room",
        );
    }
    if free < LITTLE {
        return Finding::warn(check, format!("{shown}: only {mib} MiB are free"), "make room");
    }
    let state = if there == path {
        "can be written"
    } else {
        "can be made"
    };
    Finding::ok(check, format!("{shown} {state}, {} GiB are free", free >> 30))
}

#[cfg(not(unix))]
fn directory(check: &str, path: &Path, _: u64) -> Finding {
    match std::fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path)) {
        Ok(_) => Finding::ok(check, format!("{} can be written", path.display())),
        Err(e) => Finding::fail(
            check,
            format!("{} cannot be written: {e}", path.display()),
            format!("set another {check}, or who may write there"),
        ),
    }
}
