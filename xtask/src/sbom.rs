//! The bill of materials of the program: every crate that is linked into it, as CycloneDX 1.5.
//!
//! It says nothing of when and where it was made, so the same lock file gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::package::output;
use crate::workspace;

const PROGRAM: &str = "ferromcp-cli";

/// The document for a target triple.
pub(crate) fn make(target: &str) -> Result<String, String> {
    let metadata = output(workspace::cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        target,
    ]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata is no JSON: {error}"))?;
    let lock_file = workspace::root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock_file)
        .map_err(|error| format!("cannot read {}: {error}", lock_file.display()))?;
    let document = document(&metadata, &checksums(&lock), target)?;
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .map_err(|error| format!("cannot write the bill of materials: {error}"))
}

fn document(metadata: &Value, checksums: &Checksums, target: &str) -> Result<Value, String> {
    let packages: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let edges = edges(metadata);
    let root = packages
        .iter()
        .find(|(_, package)| package["name"] == PROGRAM)
        .map(|(id, _)| *id)
        .ok_or_else(|| format!("cargo metadata lists no {PROGRAM}"))?;
    let mut linked = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        if linked.insert(id) {
            waiting.extend(edges.get(id).into_iter().flatten());
        }
    }
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &linked {
        let package = packages
            .get(id)
            .ok_or_else(|| format!("cargo metadata says nothing of {id}"))?;
        let mut on: Vec<String> = edges
            .get(id)
            .into_iter()
            .flatten()
            .filter_map(|id| packages.get(id).map(|package| url(package)))
            .collect();
        on.sort();
        dependencies.push(json!({ "ref": url(package), "dependsOn": on }));
        if *id != root {
            components.push(component(package, checksums, "library"));
        }
    }
    let by = |key: &'static str| move |value: &Value| value[key].as_str().unwrap_or_default().to_owned();
    components.sort_by_key(by("bom-ref"));
    dependencies.sort_by_key(by("ref"));
    let mut program = component(packages[root], checksums, "application");
    program["name"] = json!("ferromcp");
    program["properties"] = json!([{ "name": "cargo:target", "value": target }]);
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": program },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// Which packages each one is linked with: no build scripts, no tests.
fn edges(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    list(&metadata["resolve"]["nodes"])
        .filter_map(|node| {
            let on = list(&node["deps"])
                .filter(|dependency| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()))
                .filter_map(|dependency| dependency["pkg"].as_str())
                .collect();
            Some((node["id"].as_str()?, on))
        })
        .collect()
}

fn component(package: &Value, checksums: &Checksums, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": url(package),
        "name": package["name"],
        "version": package["version"],
        "purl": url(package),
    });
    if let Some(license) = package["license"].as_str() {
        // Before SPDX expressions were asked for, crates wrote `MIT/Apache-2.0`.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let Some(repository) = package["repository"].as_str() {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    let name = package["name"].as_str().unwrap_or_default();
    let version = package["version"].as_str().unwrap_or_default();
    if let Some(checksum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// The package URL, <https://github.com/package-url/purl-spec>.
fn url(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        package["name"].as_str().unwrap_or_default(),
        package["version"].as_str().unwrap_or_default()
    )
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Name and version of a crate, and the SHA-256 of its archive.
type Checksums = BTreeMap<(String, String), String>;

/// Cargo writes one `key = "value"` a line, the checksum last.
fn checksums(lock: &str) -> Checksums {
    let mut found = Checksums::new();
    let (mut name, mut version) = (String::new(), String::new());
    for line in lock.lines() {
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        let value = value.trim_matches('"').to_owned();
        match key {
            "name" => name = value,
            "version" => version = value,
            "checksum" => {
                found.insert((name.clone(), version.clone()), value);
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Value {
        let package = |name: &str, license: &str| json!({ "id": format!("id {name}"), "name": name, "version": "1.0.0", "license": license });
        let dependency = |name: &str, kind: Option<&str>| json!({ "pkg": format!("id {name}"), "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [package(PROGRAM, "Apache-2.0"), package("linked", "MIT/Apache-2.0"), package("deeper", "MIT"),
                         package("builds", "MIT"), package("tests", "MIT")],
            "resolve": { "nodes": [
                { "id": format!("id {PROGRAM}"), "deps": [dependency("linked", None), dependency("builds", Some("build")),
                                                          dependency("tests", Some("dev"))] },
                { "id": "id linked", "deps": [dependency("deeper", None)] },
            ] },
        })
    }

    #[test]
    fn what_is_linked_is_listed_and_nothing_else() {
        let lock = "[[package]]\nname = \"linked\"\nversion = \"1.0.0\"\nsource = \"registry\"\nchecksum = \"abc\"\n";
        let document = document(&metadata(), &checksums(lock), "t").unwrap();
        let names: Vec<_> = list(&document["components"])
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["deeper", "linked"]);
        assert_eq!(document["metadata"]["component"]["name"], "ferromcp");
        let linked = &document["components"][1];
        assert_eq!(linked["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(linked["hashes"][0]["content"], "abc");
        assert_eq!(
            document["dependencies"][1],
            json!({ "ref": "pkg:cargo/ferromcp-cli@1.0.0", "dependsOn": ["pkg:cargo/linked@1.0.0"] })
        );
    }

    #[test]
    fn without_the_program_there_is_no_document() {
        let message = document(&json!({ "packages": [] }), &Checksums::new(), "t").unwrap_err();
        assert!(message.contains(PROGRAM), "{message}");
    }
}
