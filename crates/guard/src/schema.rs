//! JSON Schemas, compiled once and checked often, with bounds on what a schema from outside can cost.

mod graph;

use std::fmt::{self, Write as _};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use self::graph::Graph;

/// Size of a schema: bytes of all its strings and keys, plus 8 for each value.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;
/// Nesting of the schema document.
pub const MAX_SCHEMA_DEPTH: usize = 100;
/// Schemas inside the schema, itself included.
pub const MAX_SUBSCHEMAS: usize = 5_000;
/// Regular expressions of a schema (`pattern` and keys of `patternProperties`).
pub const MAX_PATTERNS: usize = 256;
/// How often the schema may make the validator visit one place of an instance (references that fan out multiply it).
pub const MAX_VISITS: u32 = 20_000;
/// Issues that a failed check reports at most.
pub const MAX_ISSUES: usize = 20;

/// Memory of one compiled regular expression, in bytes.
const REGEX_BYTES: usize = 2 << 20;
/// Steps of a backtracking regular expression before the text counts as no match.
const BACKTRACKS: usize = 20_000;
/// Longest message of an issue in bytes.
const MESSAGE_BYTES: usize = 300;
/// Visits (places of the instance times visits to each) that explaining a failure may take. The validator's search for
/// all errors remembers nothing, so recursive alternatives would make it exponential where the check itself is not.
const EXPLAIN_VISITS: usize = 50_000;

/// A JSON Schema that is ready to check values.
///
/// - **Dialects**: 2020-12 where `$schema` is absent; also 2019-09, draft-07, draft-06 and draft-04 where it names them.
///   Any other dialect is refused.
/// - **References**: only into the same document (`#`, `#/pointer`, `#anchor`, or an `$id` as written in it). Nothing is fetched
///   from the network or from files.
/// - **Formats**: as the dialect says. In 2020-12 and 2019-09 `format` is an annotation and never refuses a value. In draft-07,
///   draft-06 and draft-04 the formats of that draft are asserted (`date-time`, `date`, `time`, `email`, `hostname`, `ipv4`,
///   `ipv6`, `uri`, `uri-reference`, `uri-template`, `iri`, `iri-reference`, `json-pointer`, `relative-json-pointer`, `regex`; each from the
///   draft that defines it), except `idn-email` and `idn-hostname`. Unknown formats are ignored in every dialect.
/// - **Regular expressions** run in linear time, unless the schema needs look-around or back-references; then its patterns run
///   with a bound of 20,000 backtracking steps, beyond which a value does not match.
#[derive(Debug)]
pub struct CompiledSchema {
    validator: Validator,
    /// Visits to one place when explaining a failure of an instance, by the depth of that instance.
    explain_visits: Vec<u32>,
}

/// Why a schema was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A bound of this module is exceeded.
    #[error("the schema has more than {limit} {what}; make it smaller")]
    TooLarge { what: &'static str, limit: usize },
    #[error(
        "unknown JSON Schema dialect {uri:?} in $schema; use https://json-schema.org/draft/2020-12/schema, \
         .../draft/2019-09/schema, .../draft-07/schema, .../draft-06/schema or .../draft-04/schema"
    )]
    Dialect { uri: String },
    #[error(
        "the reference {reference:?} leads nowhere inside the schema; only references into the same document are followed"
    )]
    Reference { reference: String },
    #[error("the schema refers to itself without going into the value, so checking would never end")]
    Loop,
    #[error(
        "the schema's references fan out to more than {limit} checks of one value; merge the repeated ones"
    )]
    TooCostly { limit: u32 },
    /// Not a valid schema of its dialect.
    #[error("the schema is not valid at {pointer:?}: {message}")]
    Invalid { pointer: String, message: String },
}

impl SchemaError {
    /// Stable id of the rule, for logs and error data.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "schema.too_large",
            Self::Dialect { .. } => "schema.dialect",
            Self::Reference { .. } => "schema.reference",
            Self::Loop => "schema.loop",
            Self::TooCostly { .. } => "schema.too_costly",
            Self::Invalid { .. } => "schema.invalid",
        }
    }
}

/// One way in which a value does not match a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaIssue {
    /// JSON Pointer of the place in the value.
    pub pointer: String,
    /// For people, at most 300 bytes; holds names of properties and parts of the schema, never values of the instance.
    pub message: String,
    /// JSON Pointer of the keyword in the schema.
    pub schema_path: String,
}

impl fmt::Display for SchemaIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

impl CompiledSchema {
    /// Compiles `schema`. Takes from tens of microseconds to some milliseconds: do it once, when a schema becomes known.
    ///
    /// # Errors
    /// The schema is invalid, of an unknown dialect, refers outside itself, or exceeds a bound of this module.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let graph = Graph::build(schema)?;
        let linear = PatternOptions::regex().size_limit(REGEX_BYTES);
        let validator = match jsonschema::options()
            .offline()
            .with_pattern_options(linear)
            .build(schema)
        {
            Ok(validator) => validator,
            // Look-around is common in generated schemas (the usual e-mail pattern has it), and the linear engine does
            // not know it. If something else was wrong, this finds it again.
            Err(_) => {
                let bounded = PatternOptions::fancy_regex()
                    .size_limit(REGEX_BYTES)
                    .backtrack_limit(BACKTRACKS);
                let built = jsonschema::options()
                    .offline()
                    .with_pattern_options(bounded)
                    .build(schema);
                built.map_err(|error| SchemaError::Invalid {
                    pointer: error.instance_path().to_string(),
                    message: shown(&error),
                })?
            }
        };
        Ok(Self {
            validator,
            explain_visits: graph.explain_visits(),
        })
    }

    /// Checks `value`. Linear in the value for a given schema; allocates next to nothing when it passes.
    ///
    /// # Errors
    /// One to 20 issues. A value that is too large or too deep for the schema's recursion to be explained at bounded
    /// cost gives a single issue for the whole value.
    pub fn check(&self, value: &Value) -> Result<(), Vec<SchemaIssue>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        Err(self.explain(value))
    }

    /// Whether `value` passes. As fast as [`CompiledSchema::check`] is for a value that does.
    #[must_use]
    pub fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    #[cold]
    fn explain(&self, value: &Value) -> Vec<SchemaIssue> {
        let mut issues = Vec::new();
        if self.explainable(value) {
            issues.extend(
                self.validator
                    .iter_errors(value)
                    .take(MAX_ISSUES)
                    .map(|error| issue(&error)),
            );
        }
        if issues.is_empty() {
            issues.push(SchemaIssue {
                pointer: String::new(),
                message: "the value does not match the schema; it is too large or too deep to say where"
                    .to_owned(),
                schema_path: String::new(),
            });
        }
        issues
    }

    fn explainable(&self, value: &Value) -> bool {
        let (mut places, mut deepest) = (0_usize, 0);
        let mut open = vec![(value, 0)];
        while let Some((value, depth)) = open.pop() {
            places += 1;
            deepest = deepest.max(depth);
            if places > EXPLAIN_VISITS {
                return false;
            }
            match value {
                Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
                Value::Object(members) => open.extend(members.values().map(|item| (item, depth + 1))),
                _ => {}
            }
        }
        self.explain_visits
            .get(deepest)
            .is_some_and(|visits| places.saturating_mul(*visits as usize) <= EXPLAIN_VISITS)
    }
}

fn issue(error: &ValidationError<'_>) -> SchemaIssue {
    SchemaIssue {
        pointer: error.instance_path().to_string(),
        message: shown(error),
        schema_path: error.schema_path().to_string(),
    }
}

/// The validator's message without values of the instance (they may be secrets), cut to size while it is written.
fn shown(error: &ValidationError<'_>) -> String {
    struct Cut(String);
    impl fmt::Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                if self.0.len() + character.len_utf8() > MESSAGE_BYTES - '…'.len_utf8() {
                    self.0.push('…');
                    return Err(fmt::Error);
                }
                self.0.push(character);
            }
            Ok(())
        }
    }
    let mut cut = Cut(String::new());
    // The only error is our own: the message was cut.
    let _ = write!(cut, "{}", error.masked_with("the value"));
    cut.0
}

/// Whether `$schema` names a dialect that is built in.
fn known_dialect(uri: &str) -> bool {
    !matches!(Draft::from_schema_uri(uri), Draft::Unknown)
}
