//! Tests of the guard through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod corpora;
mod members;
mod oracle;
mod patterns;
mod redact;
mod scan;
mod schema;
