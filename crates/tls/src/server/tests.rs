use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::{ClientAuth, Refresh, ServerFiles, ServerTls};
use crate::files::Part;

fn put(directory: &Path, name: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(directory.join(format!("{name}.key")), signing_key.serialize_pem()).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

fn files(directory: &TempDir) -> ServerFiles {
    ServerFiles {
        certificate: directory.path().join("a.pem"),
        key: directory.path().join("a.key"),
        client_ca: None,
        client_auth: ClientAuth::Required,
        tls13_only: false,
    }
}

#[test]
fn bad_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = put(directory.path(), "a");
    let (_, other_key) = put(directory.path(), "b");
    assert!(ServerTls::load(files(&directory)).is_ok());
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (name, content, part, says) in [
        ("a.pem", "", Part::Certificate, "no certificate"),
        ("a.pem", key.as_str(), Part::Certificate, "no certificate"),
        (
            "a.pem",
            &certificate[..certificate.len() / 2],
            Part::Certificate,
            "",
        ),
        ("a.key", "", Part::Key, "no private key"),
        ("a.key", certificate.as_str(), Part::Key, "no private key"),
        ("a.key", encrypted.as_str(), Part::Key, "encrypted"),
        ("a.key", other_key.as_str(), Part::Key, "does not fit"),
    ] {
        std::fs::write(directory.path().join(name), content).unwrap();
        let errors = ServerTls::load(files(&directory)).unwrap_err();
        assert_eq!((errors.len(), errors[0].part), (1, part), "{errors:?}");
        assert!(errors[0].problem.contains(says), "{errors:?}");
        std::fs::write(directory.path().join("a.pem"), &certificate).unwrap();
        std::fs::write(directory.path().join("a.key"), &key).unwrap();
    }
    let large = vec![b'x'; usize::try_from(crate::MAX_FILE).unwrap() + 1];
    std::fs::write(directory.path().join("ca.pem"), large).unwrap();
    std::fs::remove_file(directory.path().join("a.key")).unwrap();
    let errors = ServerTls::load(ServerFiles {
        client_ca: Some(directory.path().join("ca.pem")),
        ..files(&directory)
    })
    .unwrap_err();
    let parts: Vec<Part> = errors.iter().map(|error| error.part).collect();
    assert_eq!(parts, [Part::Key, Part::ClientCa]);
}

#[test]
fn a_bad_new_pair_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "a");
    let tls = ServerTls::load(files(&directory)).unwrap();
    let first = tls.current();
    assert_eq!(tls.refresh(), Refresh::Unchanged);
    std::fs::write(directory.path().join("a.key"), "nothing").unwrap();
    assert!(matches!(tls.refresh(), Refresh::Refused(errors) if errors[0].part == Part::Key));
    // It is said once.
    assert_eq!(tls.refresh(), Refresh::Unchanged);
    assert!(std::sync::Arc::ptr_eq(&tls.current(), &first));
    put(directory.path(), "a");
    assert!(matches!(tls.refresh(), Refresh::Replaced { .. }));
    assert!(!std::sync::Arc::ptr_eq(&tls.current(), &first));
}
