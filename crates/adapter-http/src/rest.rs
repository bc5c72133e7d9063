//! The REST doors under `/v1`: list tools, call a tool.

mod answer;
mod call;
mod list;
mod request;

pub(crate) use call::call;
pub(crate) use list::list;

/// Most tools on one page of `GET /v1/tools`, and how many there are if nobody asks.
pub(crate) const MAX_PAGE: usize = 1000;

#[cfg(test)]
mod tests;
