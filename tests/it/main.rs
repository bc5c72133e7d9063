//! The `ferromcp` program, driven as a user drives it: command line, doors, endings, other people's clients and
//! servers. Start reading at `support.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod apply;
mod batches;
mod commands;
mod disk;
mod doctor;
mod endings;
mod faults;
mod grpc;
mod grpc_servers;
mod guesses;
mod init;
mod journal;
mod lock;
mod oauth;
mod openapi;
mod orphans;
mod otlp;
mod parity;
mod readiness;
mod readme;
mod relayed;
mod reload;
mod rmcp;
mod rules;
mod serving;
mod stdio;
mod streams;
mod support;
mod tls;
mod tokens;
mod upgrade;
mod upstreams;
mod usage;
