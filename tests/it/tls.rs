//! TLS through the program: certificates in the configuration, client certificates as tenants, files that are replaced
//! while it runs, its own client and other people's.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Answer, Authority, LEGACY, Leaf, MODERN, Peers, Secured, Served, Shown, eventually, ferromcp, finish,
    made, put,
};

const CALL: &str = "{\"tool\":\"echo\",\"arguments\":{\"msg\":\"hi\"}}";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A server with its certificate, and the two authorities.
struct Setup {
    directory: TempDir,
    servers: Authority,
    clients: Authority,
    /// The key of tenant `keyed`.
    key: String,
}

impl Setup {
    /// `client_auth`: what the setting says; nobody is asked for a certificate without.
    fn new(client_auth: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        servers.server().put(directory.path(), "server");
        std::fs::write(directory.path().join("servers.pem"), servers.pem()).unwrap();
        std::fs::write(directory.path().join("clients.pem"), clients.pem()).unwrap();
        let (key, hash) = made(&["keys", "new", "keyed", "--json"]);
        let mut tls = json!({ "cert": "server.pem", "key": "server.key" });
        let mut tenants = json!({ "keyed": { "keys": [hash], "tools": { "allow": ["echo"] } } });
        if let Some(client_auth) = client_auth {
            tls["client_ca"] = "clients.pem".into();
            tls["client_auth"] = client_auth.into();
            tenants["company-a"] =
                json!({ "certificates": ["subject:CN=*,O=company-a"], "tools": { "allow": ["echo"] } });
            tenants["company-b"] =
                json!({ "certificates": ["subject:CN=*,O=company-b"], "tools": { "deny": ["*"] } });
        }
        let config = json!({
            "listen": { "tls": tls }, "tenants": tenants, "audit": { "file": "audit" },
            "builtin": { "files": { "roots": ["."] } },
        });
        std::fs::write(directory.path().join("ferromcp.yaml"), config.to_string()).unwrap();
        Self {
            directory,
            servers,
            clients,
            key,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn start(&self) -> Served {
        Served::with_config(&self.path().join("ferromcp.yaml"))
    }

    fn open(&self, served: &Served, leaf: Option<&Leaf>) -> Secured {
        let shown = Shown {
            trusted: &self.servers,
            leaf,
        };
        Secured::open(&served.door.address, &shown)
    }

    /// `ferromcp COMMAND... --url https://... ARGUMENTS...`
    fn client(&self, served: &Served, command: &[&str], arguments: &[&str]) -> (i32, String, String) {
        let port = served.door.address.rsplit(':').next().unwrap();
        let mut run = ferromcp(command);
        run.args(["--url", &format!("https://localhost:{port}")])
            .args(arguments);
        run.current_dir(self.path());
        let done = finish(run, "");
        (done.code, done.stdout, done.stderr)
    }
}

fn call(connection: &mut Secured, headers: &[(&str, &str)]) -> std::io::Result<Answer> {
    let mut all = vec![JSON];
    all.extend(headers);
    connection.request("POST", "/v1/tools/call", &all, CALL)
}

#[test]
fn a_client_certificate_is_a_tenant_on_every_door_and_in_the_audit_log() {
    let setup = Setup::new(Some("required"));
    let served = setup.start();
    let (ada, bob) = (
        setup.clients.client("ada", "company-a"),
        setup.clients.client("bob", "company-b"),
    );
    let mut connection = setup.open(&served, Some(&ada));
    let list = connection.request("GET", "/v1/tools", &[], "").unwrap().json();
    assert_eq!(list["tools"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(call(&mut connection, &[]).unwrap().json()["output"], "hi");
    // A key in the request wins, also when it is no good.
    assert_eq!(
        call(&mut connection, &[("X-Api-Key", &setup.key)])
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        call(&mut connection, &[("X-Api-Key", "nobody's")])
            .unwrap()
            .status,
        401
    );
    // Both eras of MCP.
    let accept = ("Accept", "application/json, text/event-stream");
    let params = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } });
    let open = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string();
    let opened = connection
        .request("POST", "/mcp", &[JSON, accept], &open)
        .unwrap();
    let session = opened.header("mcp-session-id").expect("a session").to_owned();
    let legacy = [
        JSON,
        accept,
        ("MCP-Protocol-Version", LEGACY),
        ("Mcp-Session-Id", &session),
    ];
    let params = json!({ "name": "echo", "arguments": { "msg": "hi" } });
    let legacy_call =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let answer = connection.request("POST", "/mcp", &legacy, &legacy_call).unwrap();
    assert_eq!(answer.json()["result"]["content"][0]["text"], "hi", "{answer:?}");
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": "echo", "arguments": { "msg": "hi" }, "_meta": meta });
    let modern_call =
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params }).to_string();
    let modern = [
        JSON,
        accept,
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
    ];
    let answer = connection.request("POST", "/mcp", &modern, &modern_call).unwrap();
    assert_eq!(answer.json()["result"]["content"][0]["text"], "hi", "{answer:?}");
    // Another tenant's certificate: none of the tools, and not the session.
    let mut other = setup.open(&served, Some(&bob));
    let refused = call(&mut other, &[]).unwrap();
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (404, Some("tool_not_found"))
    );
    assert_eq!(
        other
            .request("POST", "/mcp", &legacy, &legacy_call)
            .unwrap()
            .status,
        404
    );
    // A good certificate that no tenant claims.
    let mut stranger = setup.open(&served, Some(&setup.clients.client("eve", "company-e")));
    let refused = call(&mut stranger, &[]).unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"]["rule"], "auth.certificate.unknown");

    drop((connection, other, stranger, served));
    let mut query = ferromcp(["audit", "query", "audit", "--kind", "call"]);
    query.current_dir(setup.path());
    let records = finish(query, "").stdout;
    let records: Vec<Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |tenant: &str| {
        records
            .iter()
            .filter(|record| record["tenant"] == tenant)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("company-a").len(), of("keyed").len(), of("company-b").len()),
        (3, 1, 1),
        "{records:#?}"
    );
    for record in of("company-a") {
        assert_eq!(record["principal"], "CN=ada,O=company-a", "{record}");
        assert_eq!(record["outcome"], "ok", "{record}");
    }
    let rules: Vec<&Value> = records.iter().map(|record| &record["rule"]).collect();
    assert!(rules.contains(&&json!("auth.certificate.unknown")), "{rules:?}");
}

#[test]
fn who_shows_no_good_certificate_is_not_let_in() {
    let setup = Setup::new(Some("required"));
    let served = setup.start();
    let stranger = Authority::new("clients");
    for (what, leaf) in [
        ("none", None),
        ("of another authority", Some(stranger.client("ada", "company-a"))),
        ("expired", Some(setup.clients.expired("ada", "company-a"))),
    ] {
        let mut connection = setup.open(&served, leaf.as_ref());
        // With TLS 1.3 the client may believe in its handshake for a moment; it is answered nothing.
        let answer = call(&mut connection, &[("X-Api-Key", &setup.key)]);
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    // A client that does not trust this server sends nothing at all.
    let wary = Shown {
        trusted: &setup.clients,
        leaf: None,
    };
    assert!(call(&mut Secured::open(&served.door.address, &wary), &[]).is_err());
    let mut good = setup.open(&served, Some(&setup.clients.client("ada", "company-a")));
    assert_eq!(call(&mut good, &[]).unwrap().status, 200);
    drop(served);

    // `optional` lets a key do instead, but takes no bad certificate.
    let setup = Setup::new(Some("optional"));
    let served = setup.start();
    let mut keyed = setup.open(&served, None);
    assert_eq!(
        call(&mut keyed, &[]).unwrap().json()["error"]["rule"],
        "auth.missing"
    );
    assert_eq!(
        call(&mut keyed, &[("X-Api-Key", &setup.key)]).unwrap().status,
        200
    );
    let expired = setup.clients.expired("ada", "company-a");
    assert!(
        call(
            &mut setup.open(&served, Some(&expired)),
            &[("X-Api-Key", &setup.key)]
        )
        .is_err()
    );
}

#[test]
fn the_clients_own_options() {
    let setup = Setup::new(Some("required"));
    let served = setup.start();
    setup
        .clients
        .client("ada", "company-a")
        .put(setup.path(), "client");
    let identity = ["--cert", "client.pem", "--key", "client.key"];
    let ca = ["--ca", "servers.pem"];
    let (code, stdout, stderr) = setup.client(&served, &["tools"], &[&ca[..], &identity[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("echo") && !stdout.contains("read_file"),
        "{stdout}"
    );
    let echo = ["call", "echo", "{\"msg\":\"over TLS\"}"];
    let (code, stdout, stderr) = setup.client(&served, &echo, &[&ca[..], &identity[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["output"], "over TLS", "{answer}");
    // Without the CA, without the certificate, with files that are no good.
    let (code, _, stderr) = setup.client(&served, &echo, &identity);
    assert_eq!(code, 1, "{stderr}");
    let (code, _, stderr) = setup.client(&served, &echo, &ca);
    assert_eq!(code, 1, "{stderr}");
    let (code, _, stderr) = setup.client(&served, &echo, &["--ca", "client.key"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--ca client.key"), "{stderr}");
}

#[test]
fn files_that_are_replaced_are_taken_up_and_bad_ones_are_not() {
    let setup = Setup::new(Some("required"));
    let served = setup.start();
    let ada = setup.clients.client("ada", "company-a");
    let mut open = setup.open(&served, Some(&ada));
    assert_eq!(call(&mut open, &[]).unwrap().status, 200);

    // Another certificate, of another authority, and another authority for clients.
    let (servers, clients) = (Authority::new("new servers"), Authority::new("new clients"));
    let leaf = servers.server();
    put(setup.path(), "clients.pem", &clients.pem());
    leaf.put(setup.path(), "server");
    let eve = clients.client("ada", "company-a");
    let shown = Shown {
        trusted: &servers,
        leaf: Some(&eve),
    };
    let certificate = eventually("new connections get the new certificate", || {
        let mut connection = Secured::open(&served.door.address, &shown);
        let answer = call(&mut connection, &[]).ok()?;
        assert_eq!(answer.status, 200, "{answer:?}");
        Some(connection.server_certificate())
    });
    assert_eq!(certificate, leaf.der());
    served
        .process
        .stderr
        .wait(|line| line.contains("new connections use the certificate").then_some(()));
    // What was open goes on; clients of the old authority are not let in any more.
    assert_eq!(call(&mut open, &[]).unwrap().status, 200);
    let old = Shown {
        trusted: &servers,
        leaf: Some(&ada),
    };
    assert!(call(&mut Secured::open(&served.door.address, &old), &[]).is_err());

    // Half a certificate, then a key that does not fit: the log says which file, and nothing changes.
    let bad = setup.servers.server();
    for (name, content, says) in [
        (
            "server.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n".to_owned(),
            "listen.tls",
        ),
        ("server.key", "no key".to_owned(), "private key"),
    ] {
        let before = std::fs::read_to_string(setup.path().join(name)).unwrap();
        put(setup.path(), name, &content);
        served
            .process
            .stderr
            .wait(|line| (line.contains("the old ones stay in use") && line.contains(says)).then_some(()));
        let mut connection = Secured::open(&served.door.address, &shown);
        assert_eq!(call(&mut connection, &[]).unwrap().status, 200);
        assert_eq!(connection.server_certificate(), leaf.der());
        put(setup.path(), name, &before);
    }
    // A certificate without the key that belongs to it.
    bad.put(setup.path(), "other");
    std::fs::rename(setup.path().join("other.pem"), setup.path().join("server.pem")).unwrap();
    served
        .process
        .stderr
        .wait(|line| (line.contains("the old ones stay in use") && line.contains("does not")).then_some(()));
    assert_eq!(
        call(&mut Secured::open(&served.door.address, &shown), &[])
            .unwrap()
            .status,
        200
    );
    assert_eq!(call(&mut open, &[]).unwrap().status, 200);
}

#[test]
fn a_start_with_bad_files_says_which() {
    let setup = Setup::new(Some("required"));
    let other = setup.servers.server();
    other.put(setup.path(), "other");
    std::fs::rename(setup.path().join("other.key"), setup.path().join("server.key")).unwrap();
    std::fs::write(setup.path().join("clients.pem"), "nothing").unwrap();
    let mut command = ferromcp(["serve", "--addr", "127.0.0.1:0", "--config", "ferromcp.yaml"]);
    command.current_dir(setup.path());
    let done = finish(command, "");
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("certificate"), "{done:?}");
}

/// Node's own `fetch` and `https`, and the official SDKs for TypeScript and Python, none of which we wrote.
#[test]
fn other_peoples_clients_over_tls() {
    let peers = Peers::find();
    let setup = Setup::new(Some("optional"));
    let served = setup.start();
    setup
        .clients
        .client("ada", "company-a")
        .put(setup.path(), "client");
    let port = served.door.address.rsplit(':').next().unwrap();
    let base = format!("https://localhost:{port}");
    let scripts = tempfile::tempdir().unwrap();
    let at = |name: &str| setup.path().join(name);

    let mut node = peers.node_script("tls.mjs", scripts.path());
    node.args([&base, &setup.key])
        .arg(at("client.pem"))
        .arg(at("client.key"));
    node.env("NODE_EXTRA_CA_CERTS", at("servers.pem"));
    let done = finish(node, "");
    let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!(
        said,
        json!({ "fetch": "hi", "sdk1": "hi", "client2": "hi", "certificate": "hi", "nobody": 401 }),
        "{done:?}"
    );
    // Without the CA, none of it.
    let mut node = peers.node_script("tls.mjs", scripts.path());
    node.args([&base, &setup.key])
        .arg(at("client.pem"))
        .arg(at("client.key"));
    let done = finish(node, "");
    assert_ne!(done.code, 0, "{done:?}");

    let mut python = peers.python_script("tls.py", scripts.path());
    python.arg(format!("{base}/mcp"));
    python
        .arg(at("servers.pem"))
        .arg(at("client.pem"))
        .arg(at("client.key"));
    let done = finish(python, "");
    let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!(said, json!({ MODERN: "hi", "legacy": "hi" }), "{done:?}");
}
