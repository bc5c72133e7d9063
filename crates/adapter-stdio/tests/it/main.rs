//! The stdio door over in-process pipes: both eras, bad lines, backpressure, and every way to end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ending;
mod serving;
mod support;
