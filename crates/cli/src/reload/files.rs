//! `serve --watch`: the configuration file is taken over when it changes, or a file whose content it brings in.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferromcp_config::{MAX_FILE, MAX_SECRET_FILE, brought_in};

use super::Reloader;

/// Files are looked at so often; they are taken over when two looks find the same.
const LOOK: Duration = Duration::from_millis(500);

/// What the configuration file holds, and what is brought into it by `${file:...}`, in the order of the text. A
/// configuration is small, and a hash would not say more.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    text: Vec<u8>,
    brought_in: Vec<Option<Vec<u8>>>,
}

/// Reloads whenever the contents are others than before, however they came there (written, renamed, a link that
/// Kubernetes swaps). Ends never.
pub(crate) async fn watch(reloader: Arc<Reloader>, file: PathBuf) {
    let mut last = look(&file).await;
    let mut taken = last.clone();
    // Not what the look found: the file may have changed since the start.
    if let (Some(taken), Some(text)) = (&mut taken, reloader.text().await) {
        taken.text = text;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let now = look(&file).await;
        // A file that is gone for a moment, or is being written, is looked at again.
        if now.is_some() && now != taken && now == last {
            taken.clone_from(&now);
            // What came of it was told.
            let _ = reloader.reload("file watch").await;
        }
        last = now;
    }
}

async fn look(file: &Path) -> Option<Contents> {
    let file = file.to_owned();
    let look = tokio::task::spawn_blocking(move || {
        let text = read(&file, MAX_FILE)?;
        let base = file.parent().unwrap_or(Path::new(""));
        let brought_in = brought_in(&String::from_utf8_lossy(&text))
            .into_iter()
            .map(|path| read(&base.join(path), MAX_SECRET_FILE))
            .collect();
        Some(Contents { text, brought_in })
    });
    look.await.ok().flatten()
}

/// A little more than is accepted at most, so that what is too large is told and not cut.
fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    // Opening a named pipe would wait for a writer.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(most + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}
