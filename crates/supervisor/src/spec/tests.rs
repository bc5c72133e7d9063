use super::{ChildSpec, PASSED_ENV, SpawnError};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_environment_is_the_passed_variables_and_the_spec() {
    let env = ChildSpec::new("s", "x")
        .env("PATH", "/only")
        .env("KEY", "v=1")
        .environment()
        .unwrap();
    assert_eq!(env[OsStr::new("PATH")], "/only");
    assert_eq!(env[OsStr::new("KEY")], "v=1");
    for key in env.keys().filter(|k| *k != "KEY") {
        assert!(PASSED_ENV.iter().any(|p| *p == key), "{key:?} leaked");
    }
}

#[test]
fn impossible_variables_are_named_without_their_value() {
    for (key, value) in [("A=B", "secret"), ("", "secret"), ("A", "secret\0")] {
        let error = ChildSpec::new("s", "x")
            .env(key, value)
            .environment()
            .unwrap_err();
        assert!(matches!(&error, SpawnError::Env { key: k, .. } if k == key));
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn debug_does_not_show_values_of_variables() {
    let text = format!("{:?}", ChildSpec::new("s", "x").env("TOKEN", "hunter2"));
    assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_search_skips_what_cannot_run_and_takes_the_first_that_can() {
    let dir = tempfile::tempdir().unwrap();
    let make = |sub: &str, mode: u32| {
        std::fs::create_dir_all(dir.path().join(sub)).unwrap();
        let file = dir.path().join(sub).join("tool");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    };
    let plain = make("a", 0o644);
    let good = make("b", 0o755);
    make("c", 0o755);
    let path = std::env::join_paths(["missing", "a", "b", "c"].map(|d| dir.path().join(d))).unwrap();
    let spec = ChildSpec::new("s", "tool");
    assert_eq!(spec.program(Some(&path)).unwrap(), good);

    let only_plain = dir.path().join("a");
    let error = spec.program(Some(only_plain.as_os_str())).unwrap_err();
    assert!(
        matches!(&error, SpawnError::NotExecutable { file, .. } if *file == plain),
        "{error}"
    );

    let error = spec
        .program(Some(OsStr::new("/nowhere:/neither")))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`tool` not found in PATH (/nowhere:/neither)"),
        "{error}"
    );
}

#[test]
fn a_relative_command_starts_at_the_working_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.sh");
    std::fs::write(&file, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let spec = ChildSpec::new("s", "./run.sh").cwd(dir.path());
    assert_eq!(
        spec.program(None).unwrap().canonicalize().unwrap(),
        file.canonicalize().unwrap()
    );
    let error = ChildSpec::new("s", "./other.sh")
        .cwd(dir.path())
        .program(None)
        .unwrap_err();
    assert!(matches!(error, SpawnError::NoSuchFile { .. }), "{error}");
    let error = ChildSpec::new("s", ".")
        .cwd(dir.path())
        .program(Some(OsStr::new("/bin")))
        .unwrap_err();
    assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error}");
}
