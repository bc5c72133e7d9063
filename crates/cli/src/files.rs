//! Commands that only look at files: `check`, `schema`, `import`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use ferromcp_config::{Config, Imported};

use crate::args::{Check, Import};
use crate::exit::Failure;

pub(crate) fn check(args: &Check) -> Result<(), Failure> {
    let config = Config::load(&args.file)?;
    println!(
        "{}: ok, {} upstream server{}",
        args.file.display(),
        config.servers.len(),
        if config.servers.len() == 1 { "" } else { "s" }
    );
    Ok(())
}

pub(crate) fn schema() -> Result<(), Failure> {
    print(&ferromcp_config::json_schema())
}

pub(crate) fn import(args: &Import) -> Result<(), Failure> {
    let imported = Imported::from_file(&args.file)?;
    match &args.output {
        None => print(&imported.yaml)?,
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            let written = file.and_then(|mut file| file.write_all(imported.yaml.as_bytes()));
            written.map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => Failure::Usage(format!(
                    "{} exists already and is left as it is; give another --output or move it away",
                    path.display()
                )),
                _ => Failure::other(&format!("cannot write {}", path.display()), e),
            })?;
        }
    }
    for note in &imported.notes {
        eprintln!(
            "{}:{}:{}: {}: {}",
            args.file.display(),
            note.line,
            note.column,
            note.path,
            note.message
        );
    }
    let servers = imported.servers;
    eprintln!("{servers} server{} imported", if servers == 1 { "" } else { "s" });
    Ok(())
}

/// Prints to standard output. A reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::other("cannot write to standard output", e))
        }
        _ => Ok(()),
    }
}
