//! `delete_file`.

use ferromcp_core::Payload;
use serde::Deserialize;

use super::Files;
use super::refusal::{Refusal, quoted};
use super::walk::Kind;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    path: String,
}

pub(super) fn run(files: &Files, args: &Args) -> Result<Payload, Refusal> {
    let spot = files.jail.locate_one(&args.path)?;
    let (dir, name) = files.jail.parent("delete", &spot, false)?;
    let failed = |e: std::io::Error| Refusal::io("delete", &spot.shown, &e);
    let kind = Kind::of(dir.symlink_metadata(&name).map_err(failed)?.file_type());
    let what = match kind {
        Kind::File => {
            dir.remove_file(&name).map_err(failed)?;
            "the file"
        }
        // The link itself: what it points to stays.
        Kind::Symlink => {
            dir.remove_file(&name).map_err(failed)?;
            "the symbolic link"
        }
        Kind::Directory => {
            dir.remove_dir(&name).map_err(failed)?;
            "the empty directory"
        }
        Kind::Fifo | Kind::Socket | Kind::Device | Kind::Other => {
            return Err(Refusal::new(format!(
                "cannot delete {}: it is a {}, and only files, symbolic links and empty directories can be deleted",
                quoted(&spot.shown),
                kind.as_str()
            )));
        }
    };
    Ok(Payload::text(&format!("deleted {what} {}", quoted(&spot.shown))))
}
