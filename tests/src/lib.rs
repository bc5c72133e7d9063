//! Tests of the whole program live in `it/`: they start the built `ferromcp` and talk to it from outside.
//! `peers/` has other people's clients, `conformance/` what the official suites are expected to say.
//!
//! This crate owns no product code and uses none: what a test needs to know, a user could know too.
