//! The stages of the pipeline, in the order in which [`Gateway::call`](crate::Gateway::call) runs
//! them. One stage, one file, a plain function.

mod admit;
mod authenticate;
mod authorize;
mod dispatch;
mod limit;
mod output;
mod validate;

pub(crate) use admit::admit;
pub(crate) use authenticate::authenticate;
pub(crate) use authorize::{Target, authorize, decision, resolve};
pub(crate) use dispatch::{deadline, dispatch};
pub(crate) use limit::{client_key, counted, limit, outgoing, refused};
pub(crate) use output::check_output;
pub(crate) use validate::validate;
