//! The `ferromcp` program, driven as a user drives it: command line, doors, endings, other people's clients and
//! servers. Start reading at `support.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod commands;
mod endings;
mod faults;
mod journal;
mod lock;
mod orphans;
mod otlp;
mod parity;
mod rmcp;
mod rules;
mod serving;
mod stdio;
mod support;
mod tokens;
mod upstreams;
