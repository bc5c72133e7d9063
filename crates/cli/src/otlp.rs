//! Audit records to an OpenTelemetry collector: OTLP/HTTP with protobuf, one log record for each line of the log.
//!
//! The encoding is in `encode` and `record`, the batches and their queue in `queue`, the requests and what their answers mean in
//! `client`, the thread that sends in `exporter`. Nothing here knows the pipeline, doors or the configuration. The OpenTelemetry SDK is not used: it would bring a second HTTP client and a second runtime's worth of crates for five
//! message types.
//!
//! Start reading at [`Exporter`].
//!
//! Specification: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>,
//! <https://github.com/open-telemetry/opentelemetry-proto> (`logs/v1/logs.proto`).
//!
//! # What arrives
//!
//! At least once, in the order of the log: a batch whose answer was lost is sent again, and `ferromcp.audit.seq` tells the
//! second copy from the first. The body of a record is the line of the log, byte for byte, so the chain of hashes can be
//! checked where the records end up.
//!
//! # What is lost, and who is told
//!
//! While the collector does not answer, records wait in a bounded queue; calls are never slowed. Beyond it, records are
//! dropped and counted. So are batches that the collector refuses for good. The program's log says so, and
//! the next batch that arrives has a record `ferromcp.audit.lost` with the count. The log on disk loses nothing by this.

mod client;
mod encode;
mod exporter;
mod queue;
mod record;

pub(crate) use client::{Client, Sent};
pub(crate) use exporter::{Exporter, Settings};
