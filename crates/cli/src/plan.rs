//! `ferromcp plan`: what a reload would change, without changing it.

mod diff;
mod names;
mod show;
#[cfg(test)]
mod tests;
mod widened;

use ferromcp_config::Loaded;

use crate::apply;
use crate::args;
use crate::client::{direct, run_async};
use crate::exit::Failure;
use crate::files::print;

pub(crate) use diff::{Plan, Side, What, same_workers};
pub(crate) use names::Known;
pub(crate) use show::plan as shown;

pub(crate) fn run(args: &args::Plan) -> Result<(), Failure> {
    let Some(against) = &args.against else {
        return apply::plan(args);
    };
    let (old, new) = (Loaded::from_file(against)?, Loaded::from_file(&args.file)?);
    let plan = Plan::of(&side(&old, args.start)?, &side(&new, args.start)?)?;
    if args.json {
        print(&format!("{:#}\n", plan.to_json()))?;
    } else {
        print(&shown(&plan))?;
    }
    match plan.refused().next() {
        None => Ok(()),
        Some(_) => Err(Failure::Silent),
    }
}

fn side(loaded: &Loaded, start: bool) -> Result<Side<'_>, Failure> {
    let mut known = Known::of_lock(&loaded.config)?.or(Known::of_documents(&loaded.config));
    if start {
        known = run_async(async {
            let started = direct::start_unvetted(&loaded.config).await?;
            let listed = Known::of_catalog(&started.gateway.snapshot().catalog);
            started.upstreams.stop().await;
            Ok(listed.or(known))
        })?;
    }
    Ok(Side { loaded, known })
}
