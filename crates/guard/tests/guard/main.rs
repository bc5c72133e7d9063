//! Tests of the guard through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod corpora;
mod members;
mod oracle;
mod scan;
mod schema;
