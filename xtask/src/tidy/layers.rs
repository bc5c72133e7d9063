//! Who may depend on whom. The table is the architecture; ARCHITECTURE.md gives the reasons.

use super::Finding;
use crate::workspace::Dependency;

/// A package, the workspace packages it may use, and libraries it must not know.
struct Layer {
    package: &'static str,
    may_use: &'static [&'static str],
    must_not_know: &'static [&'static str],
}

const NETWORK: &[&str] = &["http", "hyper", "hyper-util", "tokio", "tonic"];
const POLICY: &[&str] = &["clap", "http", "hyper", "hyper-util", "saphyr", "tonic"];
const ADAPTER: &[&str] = &["clap", "saphyr"];

const LAYERS: &[Layer] = &[
    Layer {
        package: "ferromcp-protocol",
        may_use: &[],
        must_not_know: NETWORK,
    },
    Layer {
        package: "ferromcp-guard",
        may_use: &[],
        must_not_know: NETWORK,
    },
    Layer {
        package: "ferromcp-limits",
        may_use: &[],
        must_not_know: &[
            "http",
            "hyper",
            "hyper-util",
            "serde",
            "serde_json",
            "tokio",
            "tonic",
        ],
    },
    Layer {
        package: "ferromcp-tenancy",
        may_use: &[],
        must_not_know: NETWORK,
    },
    Layer {
        package: "ferromcp-audit",
        may_use: &[],
        must_not_know: NETWORK,
    },
    Layer {
        package: "ferromcp-tls",
        may_use: &["tenancy"],
        must_not_know: NETWORK,
    },
    Layer {
        package: "ferromcp-config",
        may_use: &["tenancy", "tls"],
        must_not_know: NETWORK,
    },
    Layer {
        package: "ferromcp-supervisor",
        may_use: &["protocol"],
        must_not_know: POLICY,
    },
    Layer {
        package: "ferromcp-core",
        may_use: &["guard", "limits", "protocol", "tenancy"],
        must_not_know: POLICY,
    },
    Layer {
        package: "ferromcp-endpoint",
        may_use: &["core", "protocol"],
        must_not_know: POLICY,
    },
    Layer {
        package: "ferromcp-tools",
        may_use: &["core", "protocol"],
        must_not_know: POLICY,
    },
    Layer {
        package: "ferromcp-telemetry",
        may_use: &["audit", "core"],
        must_not_know: POLICY,
    },
    Layer {
        package: "ferromcp-admin",
        may_use: &["audit", "core", "limits", "protocol", "tenancy"],
        must_not_know: ADAPTER,
    },
    Layer {
        package: "ferromcp-upstream",
        may_use: &["core", "protocol", "supervisor"],
        must_not_know: &["clap", "saphyr"],
    },
    Layer {
        package: "ferromcp-grpc-api",
        may_use: &[],
        must_not_know: ADAPTER,
    },
    Layer {
        package: "ferromcp-client",
        may_use: &["grpc-api", "protocol", "tls"],
        must_not_know: ADAPTER,
    },
    Layer {
        package: "ferromcp-upstream-grpc",
        may_use: &["core", "protocol", "upstream"],
        must_not_know: &["clap", "hyper", "hyper-util", "saphyr"],
    },
    Layer {
        package: "ferromcp-upstream-openapi",
        may_use: &["core", "protocol", "upstream"],
        must_not_know: &["clap", "hyper", "hyper-util"],
    },
    Layer {
        package: "ferromcp-adapter-grpc",
        may_use: &["core", "endpoint", "grpc-api", "limits", "protocol", "tls"],
        must_not_know: ADAPTER,
    },
    Layer {
        package: "ferromcp-adapter-http",
        may_use: &["core", "endpoint", "limits", "protocol", "tls"],
        must_not_know: ADAPTER,
    },
    Layer {
        package: "ferromcp-adapter-stdio",
        may_use: &["core", "endpoint", "protocol"],
        must_not_know: ADAPTER,
    },
    Layer {
        package: "ferromcp",
        may_use: &[
            "adapter-http",
            "adapter-stdio",
            "client",
            "core",
            "endpoint",
            "guard",
            "protocol",
        ],
        must_not_know: &["clap", "saphyr"],
    },
    Layer {
        package: "ferromcp-testkit",
        may_use: &["protocol"],
        must_not_know: &[],
    },
    Layer {
        package: "xtask",
        may_use: &["adapter-http", "admin", "config"],
        must_not_know: &["tokio"],
    },
];

/// Packages that see everything: the program itself, and what tests and measures it from outside.
const SEE_EVERYTHING: &[&str] = &["ferromcp-cli", "ferromcp-tests", "ferromcp-bench"];

const TESTKIT: &str = "ferromcp-testkit";

pub(super) fn check(dependencies: &[Dependency]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Dependency { from, to } in dependencies {
        let mut say = |message: String| {
            findings.push(Finding {
                file: manifest_of(from),
                line: line_of(from, to),
                message,
            });
        };
        let internal = is_ours(to);
        if to == TESTKIT && !is_test_package(from) {
            say(format!(
                "{from} depends on {TESTKIT}, which is for [dev-dependencies] only"
            ));
            continue;
        }
        if SEE_EVERYTHING.contains(&from.as_str()) {
            continue;
        }
        let Some(layer) = LAYERS.iter().find(|layer| layer.package == from) else {
            say(format!(
                "{from} is in no layer: add it to the table in xtask/src/tidy/layers.rs"
            ));
            continue;
        };
        let short = to.strip_prefix("ferromcp-").unwrap_or(to);
        if internal && !layer.may_use.contains(&short) {
            say(format!(
                "layering: {from} must not depend on {to}; it may use {}",
                words(layer.may_use)
            ));
        }
        if layer.must_not_know.contains(&to.as_str()) {
            say(format!("layering: {from} must not know {to}"));
        }
    }
    findings
}

fn is_ours(package: &str) -> bool {
    package == "ferromcp" || package.starts_with("ferromcp-")
}

fn is_test_package(package: &str) -> bool {
    matches!(package, "ferromcp-tests" | "ferromcp-bench" | TESTKIT)
}

fn words(names: &[&str]) -> String {
    if names.is_empty() {
        "no other crate of ours".to_owned()
    } else {
        names.join(", ")
    }
}

fn manifest_of(package: &str) -> String {
    let directory = match package {
        "ferromcp" => "crates/ferromcp".to_owned(),
        "ferromcp-bench" => "bench".to_owned(),
        "ferromcp-tests" => "tests".to_owned(),
        "xtask" => "xtask".to_owned(),
        other => format!("crates/{}", other.strip_prefix("ferromcp-").unwrap_or(other)),
    };
    format!("{directory}/Cargo.toml")
}

/// Where the manifest names the dependency; its first line when it cannot be found.
fn line_of(package: &str, dependency: &str) -> usize {
    let path = crate::workspace::root().join(manifest_of(package));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .position(|line| {
            line.trim_start()
                .strip_prefix(dependency)
                .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        })
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(edges: &[(&str, &str)]) -> Vec<String> {
        let edges: Vec<Dependency> = edges
            .iter()
            .map(|(from, to)| Dependency {
                from: (*from).into(),
                to: (*to).into(),
            })
            .collect();
        check(&edges).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn downward_edges_are_fine() {
        let none: Vec<String> = Vec::new();
        assert_eq!(
            messages(&[
                ("ferromcp-core", "ferromcp-protocol"),
                ("ferromcp-adapter-http", "hyper"),
                ("ferromcp-cli", "ferromcp-upstream"),
                ("ferromcp-tests", "ferromcp-testkit"),
            ]),
            none
        );
    }

    #[test]
    fn upward_and_sideways_edges_are_found() {
        let found = messages(&[
            ("ferromcp-protocol", "ferromcp-core"),
            ("ferromcp-adapter-http", "ferromcp-adapter-stdio"),
            ("ferromcp-protocol", "tokio"),
            ("ferromcp-core", "ferromcp-testkit"),
            ("ferromcp-new", "serde"),
        ]);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[0].contains("no other crate of ours"));
        assert!(found[1].contains("core, endpoint, limits, protocol, tls"));
        assert!(found[2].contains("must not know tokio"));
        assert!(found[3].contains("dev-dependencies"));
        assert!(found[4].contains("is in no layer"));
    }

    #[test]
    fn the_workspace_itself_is_in_the_table() {
        for dependency in crate::workspace::dependencies().unwrap() {
            let known = SEE_EVERYTHING.contains(&dependency.from.as_str())
                || LAYERS.iter().any(|layer| layer.package == dependency.from);
            assert!(known, "{} is in no layer", dependency.from);
        }
    }
}
