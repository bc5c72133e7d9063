//! What `proto/ferromcp/v1/ferromcp.proto` says, in Rust: messages, the service for a server to implement, and its client.
//!
//! Owns: nothing but the generated code. The proto file is compiled by protox in `build.rs`: nobody needs protoc.
//!
//! Must not know: anything else of the product.

#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::redundant_clone,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    missing_debug_implementations,
    rust_2018_idioms,
    unreachable_pub,
    unused_qualifications
)]
tonic::include_proto!("ferromcp.v1");

/// The file as a set of descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Name of the service.
pub const SERVICE: &str = "ferromcp.v1.FerroMcpService";
