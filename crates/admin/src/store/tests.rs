use super::*;

fn entry(id: &str, version: u64, document: &str) -> Stored {
    Stored {
        id: id.into(),
        version,
        document: document.into(),
    }
}

#[test]
fn what_was_put_is_there_after_a_reopen_and_versions_never_repeat() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state");
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.all().unwrap(), []);
    assert_eq!(store.put("b", "{}").unwrap(), 1);
    assert_eq!(store.put("a", "{\"name\":\"é\"}").unwrap(), 2);
    store.remove("b").unwrap();
    store.remove("never").unwrap();
    drop(store);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.all().unwrap(), [entry("a", 2, "{\"name\":\"é\"}")]);
    assert_eq!(store.put("b", "{}").unwrap(), 5);
}

#[test]
fn a_store_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("another process uses this store"));
    drop(store);
    Store::open(directory.path()).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_what_a_crash_left_is_cleared() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE), b"not a database at all").unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("tenants.redb"), "{error}");
    fs::remove_file(directory.path().join(FILE)).unwrap();
    fs::write(directory.path().join(UNFINISHED), b"half").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.all().unwrap(), []);
    assert!(!directory.path().join(UNFINISHED).exists());
    drop(store);
    // A later version's.
    let database = Database::open(directory.path().join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert("format", 9).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Format { found: 9, .. }), "{error}");
}
