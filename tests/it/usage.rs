//! What a tenant has used, as it may ask itself: over REST and gRPC, from the command line, and as the admin API says it.

use serde_json::{Value, json};

use crate::support::{
    Answer, Door, Grpc, GrpcWith, Served, Setup, directory_with, ferromcp, finish, grpc_address, made,
    serve_grpc,
};

/// Tenants and their keys. `quota`: every limit; `free`: none; `gone`: suspended.
struct Keys {
    directory: tempfile::TempDir,
    quota: [String; 2],
    free: String,
    gone: String,
}

fn keys() -> Keys {
    let [one, two, free, gone] = [0; 4].map(|_| made(&["keys", "new", "any", "--json"]));
    let config = json!({
        "auth": { "anonymous": "refuse", "guesses": { "rate": "1/h", "burst": 4 } },
        "limits": { "rate": "10/h", "burst": 50, "tools": { "echo": { "rate": "1000/h" } } },
        "tenants": {
            "quota": {
                "keys": [one.1, two.1],
                "limits": { "rate": "10/h", "burst": 20 },
                "quotas": { "tool_calls": "4/h", "bytes": "10KiB/h", "concurrent": 3, "batch_size": 5 },
            },
            "free": { "keys": [free.1] },
            "gone": { "keys": [gone.1], "suspended": true },
        },
    });
    Keys {
        directory: directory_with("ferromcp.yaml", &config.to_string()),
        quota: [one.0, two.0],
        free: free.0,
        gone: gone.0,
    }
}

fn ask(door: &Door, key: &str) -> Answer {
    door.request("GET", "/v1/usage", &[("X-Api-Key", key)], "")
}

fn usage(door: &Door, key: &str) -> Value {
    let answer = ask(door, key);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

/// Status of a REST call to echo.
fn call(door: &Door, key: &str) -> u16 {
    let headers = [("Content-Type", "application/json"), ("X-Api-Key", key)];
    let body = json!({ "tool": "echo", "arguments": { "msg": "x" } }).to_string();
    door.request("POST", "/v1/tools/call", &headers, &body).status
}

/// Takes the time out, which goes on, and checks it.
fn settled(mut told: Value) -> Value {
    for limit in ["/rate", "/client_rate", "/quotas/tool_calls", "/quotas/bytes"] {
        let Some(of) = told.pointer_mut(limit).filter(|of| of.is_object()) else {
            continue;
        };
        let left = of["resets_in_ms"].take().as_u64().unwrap();
        assert_eq!(left > 0, of["used"].as_u64().unwrap() > 0, "{limit}: {left} {of}");
    }
    told
}

#[test]
fn a_tenant_sees_what_it_used_and_nobody_elses() {
    let keys = keys();
    let served = Served::with_config(&keys.directory.path().join("ferromcp.yaml"));
    let door = &served.door;
    let untouched = settled(usage(door, &keys.free));
    assert_eq!(
        untouched,
        json!({
            "tenant": "free",
            "rate": null,
            "client_rate": { "limit": 50, "used": 0, "remaining": 50, "resets_in_ms": null, "calls": 10, "window_ms": 3_600_000 },
            "concurrent": null,
            "quotas": {},
        })
    );
    for _ in 0..3 {
        assert_eq!(call(door, &keys.quota[0]), 200);
    }
    let mut told = settled(usage(door, &keys.quota[0]));
    let bytes = told["quotas"]["bytes"].take();
    assert_eq!(bytes["limit"], 10_240, "{bytes}");
    let (used, left) = (
        bytes["used"].as_u64().unwrap(),
        bytes["remaining"].as_u64().unwrap(),
    );
    assert!(
        used > 3 * "{\"msg\":\"x\"}".len() as u64 && used + left == 10_240,
        "{bytes}"
    );
    assert_eq!(
        told,
        json!({
            "tenant": "quota",
            "rate": { "limit": 20, "used": 3, "remaining": 17, "resets_in_ms": null, "calls": 10, "window_ms": 3_600_000 },
            "client_rate": { "limit": 50, "used": 3, "remaining": 47, "resets_in_ms": null, "calls": 10, "window_ms": 3_600_000 },
            "concurrent": { "limit": 3, "now": 0, "remaining": 3 },
            "quotas": {
                "tool_calls": { "limit": 4, "used": 3, "remaining": 1, "window_ms": 3_600_000, "resets_in_ms": null },
                "bytes": null,
                "batch_size": { "limit": 5 },
            },
        })
    );
    // Another key is of the same tenant, and a client of its own.
    let other = usage(door, &keys.quota[1]);
    assert_eq!(other["quotas"]["tool_calls"]["used"], 3, "{other}");
    assert_eq!(other["client_rate"]["used"], 0, "{other}");
    // What one tenant used is nowhere in what the other is told, and asking counts against nothing.
    for _ in 0..60 {
        assert_eq!(settled(usage(door, &keys.free)), untouched);
    }
    assert_eq!(call(door, &keys.quota[1]), 200);
    assert_eq!(call(door, &keys.quota[1]), 429);
    let spent = usage(door, &keys.quota[0]);
    assert_eq!(spent["quotas"]["tool_calls"]["used"], 4, "{spent}");
    assert_eq!(spent["quotas"]["tool_calls"]["remaining"], 0, "{spent}");
    assert_eq!(spent["rate"]["used"], 4, "{spent}");
}

#[test]
fn whoever_may_not_ask_is_told_nothing() {
    let keys = keys();
    let served = Served::with_config(&keys.directory.path().join("ferromcp.yaml"));
    let door = &served.door;
    let refused = |answer: &Answer, status: u16, code: &str, rule: Option<&str>| {
        let error = answer.json();
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(error["success"], false, "{answer:?}");
        assert_eq!(error["error"]["code"], code, "{answer:?}");
        assert_eq!(error["error"]["rule"].as_str(), rule, "{answer:?}");
        assert!(!answer.body.contains("quotas"), "{answer:?}");
    };
    let get = |path: &str, key: &str| door.request("GET", path, &[("X-Api-Key", key)], "");
    let missing = door.get("/v1/usage");
    refused(&missing, 401, "unauthenticated", Some("auth.missing"));
    assert!(missing.header("www-authenticate").is_some(), "{missing:?}");
    assert_eq!(missing.header("cache-control"), Some("no-store"));
    refused(
        &ask(door, &keys.gone),
        403,
        "permission_denied",
        Some("auth.tenant.suspended"),
    );
    // No parameter chooses another tenant, and none is overlooked.
    for query in [
        "?tenant=free",
        "?tenant_id=quota",
        "?x",
        "?=",
        "?%ff=1",
        "?a=1&a=2",
    ] {
        refused(
            &get(&format!("/v1/usage{query}"), &keys.free),
            400,
            "invalid_request",
            None,
        );
    }
    assert_eq!(get("/v1/usage?", &keys.free).status, 200);
    for path in [
        "/v1/usage/",
        "/v1/usage/quota",
        "/v1/Usage",
        "/v1//usage",
        "/v1/usage%2f",
    ] {
        refused(&get(path, &keys.free), 404, "invalid_request", None);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = door.request(method, "/v1/usage", &[("X-Api-Key", &keys.free)], "{}");
        refused(&answer, 405, "invalid_request", None);
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{answer:?}");
    }
    let head = door.request("HEAD", "/v1/usage", &[("X-Api-Key", &keys.free)], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""), "{head:?}");
    let both = [("X-Api-Key", &*keys.free), ("Authorization", "Basic eDp5")];
    let mixed = door.request("GET", "/v1/usage", &both, "");
    assert_eq!(mixed.status, 401, "{mixed:?}");

    // Keys cannot be guessed here either.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(ask(door, "fmcp_quota_wrong").status);
    }
    assert_eq!((statuses[0], statuses[5]), (401, 429), "{statuses:?}");
    refused(&ask(door, "another"), 429, "rate_limited", Some("auth.guesses"));
    assert_eq!(ask(door, &keys.free).status, 200);
}

#[test]
fn without_tenants_everybody_is_local_and_not_limited() {
    let served = Served::start(["--grpc-addr", "127.0.0.1:0"]);
    let told = served.door.get("/v1/usage");
    let none =
        json!({ "tenant": "local", "rate": null, "client_rate": null, "concurrent": null, "quotas": {} });
    assert_eq!((told.status, told.json()), (200, none.clone()));
    let index = served.door.get("/").json();
    assert_eq!(index["doors"]["usage"], "/v1/usage", "{index}");
    for url in [
        format!("http://{}", served.door.address),
        format!("grpc://{}", grpc_address(&served)),
    ] {
        let done = finish(ferromcp(["usage", "--url", &url]), "");
        let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
        assert_eq!((done.code, said), (0, none.clone()), "{url}");
    }
}

#[test]
fn both_doors_and_the_command_say_the_same() {
    let keys = keys();
    let (served, address) = serve_grpc(&keys.directory.path().join("ferromcp.yaml"));
    let door = &served.door;
    let key = &keys.quota[0];
    let echo = json!({ "tool": "echo", "arguments": "{\"msg\":\"x\"}" });
    let client = |key: Option<&str>| {
        let with = GrpcWith {
            key,
            ..GrpcWith::default()
        };
        Grpc::start(&address, with)
    };
    let mut grpc = client(Some(key));
    assert_eq!(grpc.call("CallTool", echo)["code"], "OK");
    assert_eq!(call(door, key), 200);

    let over_rest = usage(door, key);
    assert_eq!(over_rest["quotas"]["tool_calls"]["used"], 2, "{over_rest}");
    let over_grpc = grpc.call("GetUsage", json!({}))["messages"][0].clone();
    assert_eq!(over_grpc["tenant"], "quota", "{over_grpc}");
    // Protobuf leaves numbers that are 0 out.
    for (grpc, rest) in [
        ("/tool_calls/used", "/quotas/tool_calls/used"),
        ("/tool_calls/remaining", "/quotas/tool_calls/remaining"),
        ("/tool_calls/window_ms", "/quotas/tool_calls/window_ms"),
        ("/bytes/limit", "/quotas/bytes/limit"),
        ("/bytes/used", "/quotas/bytes/used"),
        ("/batch_size", "/quotas/batch_size/limit"),
        ("/rate/limit", "/rate/limit"),
        ("/rate/calls", "/rate/calls"),
        ("/client_rate/used", "/client_rate/used"),
        ("/concurrent/remaining", "/concurrent/remaining"),
    ] {
        let (one, other) = (over_grpc.pointer(grpc), over_rest.pointer(rest));
        assert!(one.is_some() && one == other, "{grpc}: {over_grpc} {over_rest}");
    }
    for url in [format!("http://{}", door.address), format!("grpc://{address}")] {
        let mut run = ferromcp(["usage", "--json", "--url", &url]);
        run.env("FERROMCP_TENANT_KEY", key);
        let done = finish(run, "");
        let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
        assert_eq!(settled(said), settled(over_rest.clone()), "{url}");
        let bad = finish(ferromcp(["usage", "--url", &url, "--tenant-key", &keys.gone]), "");
        assert_eq!((bad.code, bad.stdout.as_str()), (1, ""), "{bad:?}");
        assert!(bad.stderr.contains("suspended"), "{bad:?}");
    }
    assert_eq!(
        client(None).call("GetUsage", json!({}))["code"],
        "UNAUTHENTICATED"
    );
    let mut gone = client(Some(&keys.gone));
    let gone = gone.call("GetUsage", json!({}));
    assert_eq!(
        (&gone["code"], &gone["rule"]),
        (&json!("PERMISSION_DENIED"), &json!("auth.tenant.suspended"))
    );
    let nobody = finish(ferromcp(["usage", "--url", "http://127.0.0.1:1"]), "");
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(
        nobody.stderr.contains("ferromcp serve") && !nobody.stderr.contains("--config"),
        "{nobody:?}"
    );
    let config = finish(ferromcp(["usage", "--config", "ferromcp.yaml"]), "");
    assert_eq!(config.code, 2, "{config:?}");
}

#[test]
fn the_admin_api_says_the_same_of_every_tenant() {
    let setup = Setup::new();
    let (served, api) = setup.start();
    assert_eq!(call(&served.door, &setup.file_key), 200);
    let mut own = usage(&served.door, &setup.file_key);
    let mut told = api.ok("GET", "tenants/filed/usage", "");
    assert_eq!(told["quotas"]["tool_calls"]["used"], 1, "{told}");
    own.as_object_mut().unwrap().remove("client_rate");
    for of in [&mut own, &mut told] {
        of["quotas"]["tool_calls"]["resets_in_ms"].take();
    }
    assert_eq!(own, told);
    // A change of the tenant is seen at once, a suspended one sees nothing.
    api.ok(
        "POST",
        "tenants",
        r#"{"id":"acme","quotas":{"tool_calls":"5/h"}}"#,
    );
    let key = api.key("acme");
    assert_eq!(call(&served.door, &key), 200);
    api.ok("PATCH", "tenants/acme", r#"{"quotas":{"tool_calls":"2/h"}}"#);
    let told = usage(&served.door, &key);
    assert_eq!(told["quotas"]["tool_calls"]["used"], 1, "{told}");
    assert_eq!(told["quotas"]["tool_calls"]["remaining"], 1, "{told}");
    api.ok("POST", "tenants/acme/suspend", "");
    assert_eq!(ask(&served.door, &key).status, 403);
    assert_eq!(ask(&served.door, &setup.file_key).status, 200);
}
