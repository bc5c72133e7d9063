use super::*;

#[test]
fn hosts_are_split_at_their_port_only() {
    for (host, name, port) in [
        ("localhost", "localhost", None),
        ("localhost:80", "localhost", Some("80")),
        ("[::1]:80", "[::1]", Some("80")),
        ("[::1]", "[::1]", None),
        ("::1", "::1", None),
        ("localhost:", "localhost:", None),
        ("localhost:80x", "localhost:80x", None),
        ("a:b:80", "a:b:80", None),
        ("", "", None),
    ] {
        assert_eq!(split_port(host), (name, port), "{host}");
    }
}

#[test]
fn only_loopback_is_loopback() {
    for name in ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
        assert!(is_loopback(name), "{name}");
    }
    for name in [
        "",
        "localhost.",
        "0.0.0.0",
        "128.0.0.1",
        "[::2]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "127.0.0.1.x",
    ] {
        assert!(!is_loopback(name), "{name}");
    }
}

#[test]
fn the_bound_address_is_a_name_of_the_server() {
    let rules = HostRules::new(&HttpSettings::default(), "192.0.2.7:80".parse().unwrap());
    assert!(rules.host_allowed("192.0.2.7"));
    assert!(rules.host_allowed("192.0.2.7:8080"));
    assert!(!rules.host_allowed("192.0.2.8"));
    let wildcard = HostRules::new(
        &HttpSettings {
            allowed_hosts: vec!["a".into()],
            ..HttpSettings::default()
        },
        "0.0.0.0:80".parse().unwrap(),
    );
    assert!(!wildcard.host_allowed("0.0.0.0"));
}

#[test]
fn a_star_allows_everything() {
    let settings = HttpSettings {
        allowed_hosts: vec!["*".into()],
        allowed_origins: vec!["*".into()],
        ..HttpSettings::default()
    };
    let rules = HostRules::new(&settings, "127.0.0.1:80".parse().unwrap());
    let request = Request::builder()
        .header(HOST, "any.example.com")
        .header(ORIGIN, "null")
        .body(())
        .unwrap();
    assert!(rules.check_host(&request).is_ok());
    assert!(rules.check_origin(request.headers()).unwrap().is_some());
}
