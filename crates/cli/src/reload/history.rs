//! The configurations that were in force, to be taken back.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tracing::warn;

/// How many are kept, the one in force among them. In memory only: a text may hold secrets.
const KEPT: usize = 10;

/// The last configurations, the newest last.
pub(super) struct History(VecDeque<Generation>);

struct Generation {
    number: u64,
    since: SystemTime,
    who: String,
    sha256: String,
    text: String,
}

impl Generation {
    fn new(number: u64, text: &str, who: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        Self {
            number,
            since: SystemTime::now(),
            who: who.to_owned(),
            sha256: hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            text: text.to_owned(),
        }
    }
}

impl History {
    /// With the configuration that the server was started with.
    pub(super) fn beginning(text: &str) -> Self {
        Self(VecDeque::from([Generation::new(1, text, "start")]))
    }

    /// Another one is in force.
    pub(super) fn add(&mut self, text: &str, who: &str) {
        let number = self.0.back().map_or(1, |last| last.number + 1);
        self.0.push_back(Generation::new(number, text, who));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The text of an earlier one; without a number that of the one before the last.
    ///
    /// # Errors
    /// A sentence with what there is.
    pub(super) fn find(&self, number: Option<u64>) -> Result<String, String> {
        let earlier = || self.0.iter().rev().skip(1);
        let found = match number {
            None => earlier().next(),
            Some(number) => earlier().find(|one| one.number == number),
        };
        if let Some(found) = found {
            return Ok(found.text.clone());
        }
        let numbers: Vec<String> = earlier().map(|one| one.number.to_string()).collect();
        Err(match (number, numbers.is_empty()) {
            (_, true) => "there is no earlier configuration: none was taken over since the start".to_owned(),
            (Some(number), false) => format!(
                "there is no earlier configuration {number}; there are {}",
                numbers.join(", ")
            ),
            (None, false) => "there is no earlier configuration".to_owned(),
        })
    }

    pub(super) fn to_json(&self) -> Value {
        let last = self.0.back().map(|one| one.number);
        let shown = self.0.iter().rev().map(|one| {
            json!({
                "generation": one.number,
                "since": humantime::format_rfc3339_seconds(one.since).to_string(),
                "who": one.who,
                "sha256": one.sha256,
                "in_force": Some(one.number) == last,
            })
        });
        shown.collect()
    }
}

/// Writes what is in force to the file, whole or not at all: otherwise the next start would bring another configuration. A file
/// that cannot be written (a mounted configuration) is told of, and stays as it is.
pub(super) fn put_back(file: &Path, text: &str) {
    if let Err(error) = replace(file, text) {
        warn!(
            file = %file.display(), %error,
            "the configuration in force could not be written to the file, which still has another one: change it too, or the next start or reload brings that one back"
        );
    }
}

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    // Behind links: the link itself stays.
    let file = file.canonicalize()?;
    let beside = file.with_extension("rollback");
    let mut new = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    let written = new
        .write_all(text.as_bytes())
        .and_then(|()| new.set_permissions(std::fs::metadata(&file)?.permissions()))
        .and_then(|()| new.sync_all())
        .and_then(|()| std::fs::rename(&beside, &file));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_found() {
        let mut history = History::beginning("one");
        assert!(history.find(None).unwrap_err().contains("since the start"));
        for n in 2..=12 {
            history.add(&format!("text {n}"), "me");
        }
        assert_eq!(history.0.len(), KEPT);
        assert_eq!(history.find(None).unwrap(), "text 11");
        assert_eq!(history.find(Some(3)).unwrap(), "text 3");
        for gone in [1, 2, 12, 13] {
            let error = history.find(Some(gone)).unwrap_err();
            assert!(error.contains("11, 10, 9"), "{error}");
        }
        assert_eq!(history.to_json()[0]["generation"], 12);
        assert_eq!(
            (
                &history.to_json()[0]["in_force"],
                &history.to_json()[1]["in_force"]
            ),
            (&json!(true), &json!(false))
        );
    }

    #[test]
    fn a_file_is_put_back_behind_its_link_with_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (
            directory.path().join("real.yaml"),
            directory.path().join("link.yaml"),
        );
        std::fs::write(&real, "new").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, "old").unwrap();
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "old");
        assert!(link.is_symlink());
        assert_eq!(
            std::fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert!(replace(&directory.path().join("gone.yaml"), "x").is_err());
    }
}
