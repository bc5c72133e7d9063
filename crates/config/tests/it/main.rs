//! Everything a user of the crate sees: loading, errors, schema, reference, import.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end at once")]

mod bad;
mod import;
mod load;
mod policy;
mod rendered;
mod robust;
mod schema;
mod tls;
mod upstream_http;

use std::path::Path;

use ferromcp_config::{Config, ConfigError};

/// Loads a text as if it were `ferromcp.yaml` in a directory, with a few variables set.
fn load_in(dir: &Path, text: &str) -> Result<Config, ConfigError> {
    Config::from_yaml(text, &dir.join("ferromcp.yaml"), &env)
}

/// Loads a text that names no file or directory.
fn load(text: &str) -> Result<Config, ConfigError> {
    Config::from_yaml(text, Path::new("ferromcp.yaml"), &env)
}

fn good(text: &str) -> Config {
    load(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn env(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" => "hunter2-token",
        "PORT" => "9000",
        "YES" => "true",
        "EMPTY" => "",
        "BAD" => "hunter2-bad value",
        _ => return None,
    };
    Some(value.to_owned())
}
