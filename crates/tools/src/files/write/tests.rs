use super::*;
use crate::files::FilesSettings;
use crate::files::jail::Place;

/// The way for file systems without hard links, which a test machine hardly has.
#[test]
fn claiming_a_name_does_not_replace() {
    let root = tempfile::tempdir().unwrap();
    let files = Files::open(&FilesSettings {
        roots: vec![root.path().into()],
        ..FilesSettings::default()
    })
    .unwrap();
    let Place::In(spot) = files.jail.locate("f").unwrap() else {
        panic!("one root")
    };
    let (dir, name) = files.jail.parent("write", &spot, false).unwrap();
    let target = Target {
        files: &files,
        dir: &dir,
        name: &name,
        spot: &spot,
    };
    let temporary = |content: &str| {
        let name: OsString = format!("temporary {content}").into();
        dir.write(&name, content).unwrap();
        Temporary {
            dir: &dir,
            name,
            placed: false,
        }
    };
    assert!(target.claim(temporary("first")).unwrap());
    assert!(!target.claim(temporary("second")).unwrap());
    assert_eq!(dir.read_to_string("f").unwrap(), "first");
    // Nothing temporary stays, either way.
    assert_eq!(dir.entries().unwrap().count(), 1);
}
