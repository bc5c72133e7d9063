use std::path::Path;

use ferromcp_config::{Config, HostServer};

use super::{Fate, STARTER, fate};

fn server(command: Option<&str>, url: Option<&str>) -> HostServer {
    HostServer {
        name: "x".to_owned(),
        command: command.map(str::to_owned),
        args: Vec::new(),
        url: url.map(str::to_owned),
    }
}

#[test]
fn we_do_not_become_a_server_of_ourselves() {
    let program = std::env::current_exe().unwrap();
    let own = program.to_str().unwrap();
    for (command, url, expected) in [
        (Some("npx"), None, Fate::Taken),
        (Some("/usr/bin/ferromcp-like"), None, Fate::Taken),
        (Some("ferromcp"), None, Fate::Own),
        (Some("/opt/FerroMCP.exe"), None, Fate::Own),
        (Some(own), None, Fate::Own),
        (None, Some("https://mcp.example.com:8080/mcp"), Fate::Taken),
        (None, Some("http://127.0.0.1:8081/mcp"), Fate::Taken),
        (None, Some("http://127.0.0.1:8080/mcp"), Fate::Own),
        (None, Some("http://localhost:8080/"), Fate::Own),
        (None, Some("http://[::1]:8080/mcp"), Fate::Own),
        (None, Some("no url"), Fate::Taken),
        (None, None, Fate::Kept),
    ] {
        assert_eq!(
            fate(&server(command, url), &program),
            expected,
            "{command:?} {url:?}"
        );
    }
}

#[test]
fn the_file_without_hosts_is_valid_and_so_is_what_it_leaves_out() {
    let file = Path::new("ferromcp.yaml");
    let config = Config::from_yaml(STARTER, file, &|_| None).unwrap();
    assert_eq!(config, Config::default(), "the file says what is so without it");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let (head, servers) = STARTER.split_once("# Servers").unwrap();
    let servers: Vec<&str> = servers
        .lines()
        .skip(1)
        .map(|line| line.strip_prefix("# ").unwrap())
        .collect();
    let all = format!("{}{}", head.replace("# files", "files"), servers.join("\n"));
    let config = Config::from_yaml(&all, &dir.path().join("f.yaml"), &|_| Some("x".into())).unwrap();
    assert_eq!(config.servers.len(), 2);
    assert!(config.builtin.files.is_some());
}
