//! `ferromcp apply` and `ferromcp rollback`: a running server takes over its configuration file, or takes an earlier one back.

use http::Method;

use crate::args::{Apply, Rollback};
use crate::exit::Failure;
use crate::tenants::exchange;

pub(crate) fn run(args: &Apply) -> Result<(), Failure> {
    exchange(&args.api, Method::POST, &["reload"], String::new())
}

pub(crate) fn roll_back(args: &Rollback) -> Result<(), Failure> {
    let (method, path, body) = match (args.list, args.generation) {
        (true, _) => (Method::GET, "generations", String::new()),
        (false, None) => (Method::POST, "rollback", String::new()),
        (false, Some(to)) => (Method::POST, "rollback", format!("{{\"to\":{to}}}")),
    };
    exchange(&args.api, method, &[path], body)
}
