//! The facade, called in-process through the gateway as a door would.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod asking;
mod batch;
mod calling;
mod listing;
mod parts;
#[cfg(feature = "rmcp")]
mod rmcp;
mod serving;
mod tasks;
