use std::path::Path;

use super::{Returned, backups, create, give_back, replace};

fn file(dir: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("mcp.json");
    std::fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_was_replaced_twice_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "one");
    let first = replace(&path, "one", "two").unwrap();
    let second = replace(&path, "two", "three").unwrap();
    assert_eq!((text(&first), text(&second)), ("one".into(), "two".into()));
    assert_eq!(give_back(&path, true).unwrap(), Returned::Restored(first.clone()));
    assert_eq!(text(&path), "three", "a look changes nothing");
    assert_eq!(give_back(&path, false).unwrap(), Returned::Restored(first));
    assert_eq!(text(&path), "one");
    assert_eq!(give_back(&path, false).unwrap(), Returned::NoBackup);
    assert!(backups(&path).unwrap().is_empty());
}

#[test]
fn what_somebody_else_changed_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "one");
    assert!(replace(&path, "other", "two").unwrap_err().contains("changed"));
    let backup = replace(&path, "one", "two").unwrap();
    std::fs::write(&path, "two, and mine").unwrap();
    assert_eq!(give_back(&path, false).unwrap(), Returned::Changed(backup));
    assert_eq!(text(&path), "two, and mine");
    // A file that only looks like a backup is none.
    std::fs::write(dir.path().join("mcp.json.ferromcp-x.bak"), "").unwrap();
    assert_eq!(backups(&path).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "one");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::create_dir(dir.path().join("links")).unwrap();
    let link = dir.path().join("links/link.json");
    std::os::unix::fs::symlink("../mcp.json", &link).unwrap();
    let backup = replace(&link, "one", "two").unwrap();
    assert!(link.is_symlink() && text(&path) == "two");
    assert_eq!((mode(&path), mode(&backup)), (0o640, 0o640));
    give_back(&link, false).unwrap();
    assert!(link.is_symlink() && text(&path) == "one");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    assert!(replace(&path, "one", "two").unwrap_err().contains("read-only"));
    let made = dir.path().join("made.yaml");
    create(&made, "a: 1").unwrap();
    assert_eq!(mode(&made), 0o600);
    assert!(create(&made, "").is_err() && text(&made) == "a: 1");
}
