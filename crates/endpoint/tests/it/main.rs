//! One MCP endpoint with a source made for tests: every method in both eras, driven as doors do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod batch;
mod cancel;
mod input;
mod legacy;
mod listen;
mod modern;
mod sessions;
mod support;
mod tasks;
