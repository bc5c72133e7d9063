//! Tests of the audit log through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crash;
mod faults;
mod flow;
mod journal;
mod kill;
mod reading;
mod segments;
mod support;
mod tamper;
