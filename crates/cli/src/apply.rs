//! `ferromcp apply`: a running server takes over its configuration file.

use http::Method;

use crate::args::Apply;
use crate::exit::Failure;
use crate::tenants::exchange;

pub(crate) fn run(args: &Apply) -> Result<(), Failure> {
    exchange(
        &args.admin,
        args.admin_key.as_deref(),
        Method::POST,
        &["reload"],
        String::new(),
    )
}
