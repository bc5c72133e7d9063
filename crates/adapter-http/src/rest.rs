//! The REST doors under `/v1`: list tools, call one, call many.

mod answer;
mod batch;
mod call;
mod list;
mod request;

pub(crate) use batch::batch;
pub(crate) use call::call;
pub(crate) use list::list;

/// Most tools on one page of `GET /v1/tools`, and how many there are if nobody asks.
pub(crate) const MAX_PAGE: usize = 1000;

#[cfg(test)]
mod tests;
