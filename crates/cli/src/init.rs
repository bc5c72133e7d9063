//! `ferromcp init`: a configuration from the MCP hosts of this machine, and the hosts pointed at it.
//!
//! `places` knows where hosts keep their files, `ferromcp_config::Host` reads and changes their text, `change` replaces files and
//! gives them back, `show` is what is printed.

mod ask;
mod change;
mod places;
mod show;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use ferromcp_config::{Config, Host, HostServer, Launch, Merged, merge};
use url::Url;

use self::change::Returned;
use self::places::{Candidate, Surroundings};
use crate::args::Init;
use crate::exit::{Failure, colour};

/// What is written where no host has servers.
const STARTER: &str = "\
# FerroMCP. What can be set: `ferromcp schema`. Mistakes with their place: `ferromcp check`.
listen:
  http: 127.0.0.1:8080      # MCP at /mcp, REST at /v1

builtin:
  echo: true
  # read_file, list_dir and others, for these directories and nothing else:
  # files: { roots: [./data], write: false }

# Servers as MCP hosts have them in `mcpServers`:
# servers:
#   everything: { command: npx, args: [-y, \"@modelcontextprotocol/server-everything\"] }
#   search: { url: \"https://mcp.example.com/mcp\", headers: { Authorization: \"Bearer ${SEARCH_TOKEN}\" } }
";

const HEAD: &str = "Written by `ferromcp init`. What can be set: `ferromcp schema`. Mistakes with their place: `ferromcp check`.";

/// A host whose file was read.
struct Found {
    candidate: Candidate,
    host: Host,
}

pub(crate) fn run(args: &Init) -> Result<(), Failure> {
    let around = Surroundings::of_this_process()?;
    let candidates = if args.host.is_empty() {
        around.found()
    } else {
        around.named(&args.host)?
    };
    if args.undo {
        return undo(args, &candidates);
    }
    let path = std::path::absolute(&args.config)
        .map_err(|e| Failure::Usage(format!("--config {}: {e}", args.config.display())))?;
    let program = program()?;
    let (mut found, mut broken) = read(args, candidates)?;
    let merged = merged(args, &mut found, &mut broken, &program)?;
    show::found(&found, merged.as_ref(), &program, &broken);
    let config = write(args, &path, merged.as_ref())?;
    let launch = launch(&program, &path)?;
    let outcome = point(args, &found, &launch, &program)?;
    show::next(args, &config, outcome.changed);
    if outcome.failed {
        return Err(Failure::Silent);
    }
    Ok(())
}

/// The path under which hosts start this program: the one on `PATH` if that is this program, because it stays the same when
/// another version is put in its place.
fn program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|e| Failure::other("cannot tell where this program is", e))?;
    let real = own.canonicalize().unwrap_or_else(|_| own.clone());
    let Some(name) = own.file_name() else {
        return Ok(own);
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file());
    match on_path {
        Some(found) if found.canonicalize().is_ok_and(|found| found == real) => Ok(found),
        _ => Ok(own),
    }
}

fn launch(program: &Path, config: &Path) -> Result<Launch, Failure> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Failure::Usage(format!(
                "{}: the path is not UTF-8, so it cannot be written into a host's JSON; move it",
                path.display()
            ))
        })
    };
    let args = ["serve", "--mode", "stdio", "--config"].map(str::to_owned);
    let mut launch = Launch {
        command: text(program)?,
        args: args.into(),
    };
    launch.args.push(text(config)?);
    Ok(launch)
}

/// A host that cannot be used, and why.
struct Broken {
    name: String,
    why: String,
}

/// Reads the files. One that was named must be good; others are passed over, and said.
fn read(args: &Init, candidates: Vec<Candidate>) -> Result<(Vec<Found>, Vec<Broken>), Failure> {
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match Host::read(&candidate.name, &candidate.slug, &candidate.path, candidate.place) {
            Ok(host) => found.push(Found { candidate, host }),
            Err(error) if args.host.is_empty() => broken.push(Broken {
                name: candidate.name,
                why: error.render(colour()),
            }),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((found, broken))
}

/// The servers of all hosts together; `None` if there are none. Hosts with a mistake in a server are taken out.
fn merged(
    args: &Init,
    found: &mut Vec<Found>,
    broken: &mut Vec<Broken>,
    program: &Path,
) -> Result<Option<Merged>, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    loop {
        let hosts: Vec<Host> = found.iter().map(|one| one.host.clone()).collect();
        let wanted = |server: &HostServer| fate(server, program) == Fate::Taken;
        match merge(&hosts, &[HEAD.to_owned()], &wanted, &env) {
            Ok(merged) if merged.servers.is_empty() => return Ok(None),
            Ok(merged) => return Ok(Some(merged)),
            Err((_, error)) if !args.host.is_empty() => return Err(error.into()),
            Err((index, error)) => broken.push(Broken {
                name: found.remove(index).candidate.name,
                why: error.render(colour()),
            }),
        }
    }
}

/// What becomes of a server of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It becomes one of ours.
    Taken,
    /// It is this program already.
    Own,
    /// It has neither a program nor an address; only the host knows what it is.
    Kept,
}

fn fate(server: &HostServer, program: &Path) -> Fate {
    if let Some(command) = &server.command {
        let command = Path::new(command);
        let named = command
            .file_stem()
            .is_some_and(|stem| stem.eq_ignore_ascii_case("ferromcp"));
        let same = || {
            let real = |path: &Path| path.canonicalize().ok();
            command.is_absolute() && real(command).is_some() && real(command) == real(program)
        };
        return if named || same() { Fate::Own } else { Fate::Taken };
    }
    match &server.url {
        Some(url) if is_own_address(url) => Fate::Own,
        Some(_) => Fate::Taken,
        None => Fate::Kept,
    }
}

/// Where the new configuration listens: a gateway that is a client of its own would list its tools for ever.
fn is_own_address(url: &str) -> bool {
    let own = Config::default().listen.http;
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    loopback && url.port_or_known_default() == Some(own.port())
}

/// Writes the configuration, or says why not. What is in force then.
fn write(args: &Init, path: &Path, merged: Option<&Merged>) -> Result<Config, Failure> {
    let text = merged.map_or(STARTER, |merged| &merged.yaml);
    let shown = args.config.display();
    let env = |name: &str| std::env::var(name).ok();
    let made = Config::from_yaml(text, path, &env);
    let failed = |e: &dyn std::fmt::Display| Failure::Other(format!("cannot write {shown}: {e}"));
    let old = match std::fs::read_to_string(path) {
        Ok(old) => old,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if !args.dry_run {
                change::create(path, text).map_err(|e| failed(&e))?;
            }
            show::written(args, merged, None);
            return Ok(made?);
        }
        Err(e) => return Err(failed(&e)),
    };
    if !args.force {
        let existing = Config::load(path)?;
        let lacks = match (&made, merged) {
            (Ok(made), Some(_)) => lacking(&existing, made),
            (Ok(_), None) => Vec::new(),
            (Err(error), _) => return Err(error.clone().into()),
        };
        if lacks.is_empty() {
            println!("{shown}: is there already, and is left as it is");
            return Ok(existing);
        }
        return Err(Failure::Usage(format!(
            "{shown} is there already and is left as it is. It lacks, or has differently: {}. Replace it with --force (the old \
             one is kept), write another file with --config, or add them by hand; no host was changed",
            lacks.join(", ")
        )));
    }
    if old == text || args.dry_run {
        show::written(args, merged, None);
        return Ok(made?);
    }
    let gone = Config::load(path).map(|existing| match &made {
        Ok(made) => lacking(made, &existing),
        Err(_) => Vec::new(),
    });
    let backup = change::replace(path, &old, text).map_err(|e| failed(&e))?;
    show::written(args, merged, Some(&backup));
    if let Ok(gone) = gone
        && !gone.is_empty()
    {
        println!("  no longer in it: {}", gone.join(", "));
    }
    Ok(made?)
}

/// Servers of `other` that `config` does not have as they are there.
fn lacking(config: &Config, other: &Config) -> Vec<String> {
    let has = |server: &ferromcp_config::Upstream| {
        config
            .servers
            .iter()
            .any(|own| own.id == server.id && own.transport == server.transport)
    };
    let known = |id: &&String| {
        config.disabled_servers.contains(*id) || config.servers.iter().any(|own| own.id == **id)
    };
    let lacking = other.servers.iter().filter(|server| !has(server));
    lacking
        .map(|server| server.id.clone())
        .chain(other.disabled_servers.iter().filter(|id| !known(id)).cloned())
        .collect()
}

/// What came of pointing hosts at us.
#[derive(Default)]
struct Outcome {
    changed: bool,
    failed: bool,
}

fn point(args: &Init, found: &[Found], launch: &Launch, program: &Path) -> Result<Outcome, Failure> {
    let told = args.yes || !args.host.is_empty();
    let interactive = std::io::stdin().is_terminal();
    let mut asker = ask::Asker::new(interactive);
    let mut outcome = Outcome::default();
    let mut undo = Vec::new();
    let mut left = 0;
    for one in found {
        let kept: Vec<String> = one
            .host
            .servers()
            .iter()
            .filter(|server| fate(server, program) == Fate::Kept)
            .map(|server| server.name.clone())
            .collect();
        let new = one.host.handed_over(launch, &kept);
        let (name, path) = (&one.candidate.name, one.candidate.path.display());
        if new == one.host.text() {
            println!("{name}: starts ferromcp already ({path})");
            continue;
        }
        if args.dry_run {
            if told {
                println!("{name}: {path} would start ferromcp instead of its servers");
            }
            continue;
        }
        if !told && !asker.point(&one.candidate)? {
            left += 1;
            continue;
        }
        match change::replace(&one.candidate.path, one.host.text(), &new) {
            Ok(backup) => {
                println!(
                    "{name}: {path} starts ferromcp now\n  backup: {}",
                    backup.display()
                );
                undo.push(show::undo_command(&one.candidate));
                outcome.changed = true;
            }
            Err(why) => {
                eprintln!("ferromcp: {name}: {path} is as it was: {why}");
                outcome.failed = true;
            }
        }
    }
    show::undo(&undo);
    if left > 0 && !interactive {
        println!(
            "No host was changed: nobody was asked, because standard input is no terminal. `ferromcp init --yes` changes all, \
             `--host NAME` one."
        );
    }
    Ok(outcome)
}

fn undo(args: &Init, candidates: &[Candidate]) -> Result<(), Failure> {
    let (mut any, mut failed) = (false, false);
    for candidate in candidates {
        let (name, path) = (&candidate.name, candidate.path.display());
        match change::give_back(&candidate.path, args.dry_run) {
            Ok(Returned::NoBackup) => continue,
            Ok(Returned::Restored(backup)) if args.dry_run => {
                println!("{name}: {path} would be as in {}", backup.display());
            }
            Ok(Returned::Restored(_)) => println!("{name}: {path} is as it was"),
            Ok(Returned::Changed(backup)) => {
                eprintln!(
                    "ferromcp: {name}: {path} was changed since, and is left as it is. What it had is in {}: put the servers \
                     back by hand",
                    backup.display()
                );
                failed = true;
            }
            Err(why) => {
                eprintln!("ferromcp: {name}: {path} is left as it is: {why}");
                failed = true;
            }
        }
        any = true;
    }
    if !any {
        println!("nothing to undo: no host's file has a backup of ferromcp beside it");
    }
    if failed {
        return Err(Failure::Silent);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
