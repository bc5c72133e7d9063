//! End-to-end load harness: what a request costs, in one run, for us and for what we are compared with.
//!
//! Owns: the servers under load (as programs), the load generator, and the measures. Must not know: any crate of
//! the product; FerroMCP is a program here like the baselines, so that nothing is measured that a user does not get.
//! Start reading at [`target`] (what is measured), then [`client`] (how), then the modes: [`throughput`],
//! [`instructions`], [`idle`], [`isolation`], [`catalog`], [`reloads`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![allow(clippy::print_stdout, reason = "the modes print tables for a terminal")]

pub mod baseline;
mod behind;
pub mod catalog;
pub mod client;
pub mod grpc;
pub mod idle;
pub mod instructions;
pub mod isolation;
pub mod reloads;
pub mod server;
mod settings;
pub mod target;
pub mod tenants;
pub mod throughput;
pub mod upstream;

/// Every failure is a message that says what happened and what to do.
pub type Result<T> = std::result::Result<T, String>;
