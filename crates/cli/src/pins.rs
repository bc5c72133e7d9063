//! The definition lock: what tools and prompts of other servers were when somebody looked at them.
//!
//! Owns: the canonical form and hash of a definition ([`Pin`]), the lock file ([`Pins`]), the comparison of two states
//! ([`Change`]), and the search for texts that try to steer a model ([`suspicions`]).
//!
//! Must not know: servers, the catalog, configuration, files on disk. It turns text into data and back.
//!
//! Start reading at [`Pin`], then `file.rs`.

mod canonical;
mod diff;
mod file;
mod pin;
mod suspicion;

pub(crate) use diff::{Change, What};
pub(crate) use file::{MAX_FILE, Pins, ServerPins};
pub(crate) use pin::{Kind, Pin};
pub(crate) use suspicion::{Suspicion, suspicions};

#[cfg(test)]
mod tests;
