//! `ferromcp completions` and `ferromcp man`: what shells and manuals want to know, from the arguments themselves.

use clap::{Command, CommandFactory as _};

use crate::args::{Cli, Completions, Man};
use crate::exit::Failure;
use crate::files::print;

const NAME: &str = "ferromcp";

/// The commands that people use.
fn command() -> Command {
    let all = Cli::command();
    let hidden: Vec<String> = all
        .get_subcommands()
        .filter(|one| one.is_hide_set())
        .map(|one| one.get_name().to_owned())
        .collect();
    let shown = all
        .get_subcommands()
        .filter(|one| !hidden.iter().any(|name| name == one.get_name()));
    let shown: Vec<Command> = shown.cloned().collect();
    let mut command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown);
    for (text, set) in [
        (all.get_about(), Command::about as fn(Command, _) -> Command),
        (all.get_long_about(), Command::long_about),
        (all.get_after_help(), Command::after_help),
    ] {
        if let Some(text) = text {
            command = set(command, text.clone());
        }
    }
    command
}

pub(crate) fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), NAME, &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(crate) fn man(args: &Man) -> Result<(), Failure> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command())
            .render(&mut page)
            .map_err(|e| Failure::other("the page cannot be written", e))?;
        return print(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command(), dir))
        .map_err(|e| Failure::Usage(format!("--dir {}: {e}", dir.display())))
}
