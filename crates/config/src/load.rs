//! From a path or a text to a [`Config`].

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::changes::Given;
use crate::check::Checker;
use crate::fields::Fields;
use crate::interpolate::plain_io;
use crate::problem::{ConfigError, Problem, Problems};
use crate::source::Source;
use crate::{Config, MAX_FILE, assemble, settings, yaml};

/// A configuration together with the text that it comes from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What it means.
    pub config: Config,
    /// Which settings it gives, to compare it with another one.
    pub given: Given,
    /// The text, without a byte order mark.
    pub text: String,
}

impl Loaded {
    /// As [`Config::load`].
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::from_yaml(&read_text(path)?, path, &|name| std::env::var(name).ok())
    }

    /// As [`Config::from_yaml`].
    ///
    /// # Errors
    /// As [`Config::from_yaml`].
    pub fn from_yaml(
        text: &str,
        origin: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut given = Given::default();
        let (text, config) = read(text, origin, env, |fields| given = Given::of(fields))?;
        Ok(Self {
            config,
            given,
            text: text.to_owned(),
        })
    }
}

impl Config {
    /// Reads and validates a file. `${NAME}` is taken from the process's environment.
    ///
    /// # Errors
    /// All mistakes of the file at once; or that it cannot be read, is larger than 4 MiB or is not UTF-8.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = read_text(path)?;
        Self::from_yaml(&text, path, &|name| std::env::var(name).ok())
    }

    /// Validates a text. Relative paths in it start from the directory of `origin`, which also names the file in errors;
    /// `${NAME}` is asked from `env`.
    ///
    /// Of the file system, only the `${file:...}` files and the directories that the text names are looked at.
    ///
    /// # Errors
    /// All mistakes of the text at once.
    pub fn from_yaml(
        text: &str,
        origin: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        read(text, origin, env, |_| ()).map(|(_, config)| config)
    }
}

/// `look` sees what the file gives, checked setting by setting.
fn read<'t>(
    text: &'t str,
    origin: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    look: impl FnOnce(&Fields),
) -> Result<(&'t str, Config), ConfigError> {
    let text = accept_text(text, origin)?;
    let source = Source::new(origin, text);
    let mut problems = Problems::default();
    let Some(root) = yaml::compose(text, &mut problems) else {
        return Err(problems.into_error(&source, None));
    };
    let base = origin.parent().unwrap_or(Path::new(""));
    let mut checker = Checker::new(&mut problems, env, base);
    let config = checker.object(&root, &settings::ROOT).map(|fields| {
        look(&fields);
        assemble::config(fields, &mut problems)
    });
    match config {
        Some(config) if problems.is_empty() => Ok((text, config)),
        _ => Err(problems.into_error(&source, Some(&root))),
    }
}

/// What can be refused of a YAML text before it is parsed: its size and characters that YAML does not allow.
fn accept_text<'t>(text: &'t str, origin: &Path) -> Result<&'t str, ConfigError> {
    let text = accept_size(text, origin)?;
    let forbidden = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}'))
            || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if let Some((at, c)) = text.char_indices().find(|(_, c)| forbidden(*c)) {
        let mut problems = Problems::default();
        let hint = if c == '\0' {
            "is this a text file, saved as UTF-8?"
        } else {
            "remove it, or write it as an escape in double quotes"
        };
        problems.push(
            Problem::new(
                at..at + c.len_utf8(),
                "",
                format!("the control character U+{:04X} is not allowed", u32::from(c)),
            )
            .hint(hint)
            .unparsed(),
        );
        return Err(problems.into_error(&Source::new(origin, text), None));
    }
    Ok(text)
}

/// Refuses a text that is too large, and takes off a byte order mark.
pub(crate) fn accept_size<'t>(text: &'t str, origin: &Path) -> Result<&'t str, ConfigError> {
    if text.len() as u64 > MAX_FILE {
        return Err(too_large(origin));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads a text file of bounded size.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |error: &std::io::Error| {
        ConfigError::whole_file(
            path,
            Problem::new(0..0, "", format!("cannot read the file: {}", plain_io(error))),
        )
    };
    let file = File::open(path).map_err(|e| failed(&e))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| failed(&e))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(path));
    }
    String::from_utf8(bytes)
        .map_err(|error| not_utf8(path, error.as_bytes(), error.utf8_error().valid_up_to()))
}

fn too_large(origin: &Path) -> ConfigError {
    let problem = Problem::new(
        0..0,
        "",
        format!("the file is larger than {} MiB", MAX_FILE / 1024 / 1024),
    );
    ConfigError::whole_file(origin, problem.expected(format!("at most {MAX_FILE} bytes")))
}

fn not_utf8(path: &Path, bytes: &[u8], valid: usize) -> ConfigError {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let problem = Problem::new(0..0, "", "the file is UTF-16")
            .expected("UTF-8")
            .hint("save the file as UTF-8");
        return ConfigError::whole_file(path, problem);
    }
    // Whatever follows the valid part is replaced, so that the place of the bad byte can be shown.
    let end = bytes[valid..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |i| valid + i);
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut problems = Problems::default();
    problems.push(
        Problem::new(
            valid..valid + 1,
            "",
            format!("the byte 0x{:02X} is not valid UTF-8", bytes[valid]),
        )
        .expected("UTF-8")
        .hint("save the file as UTF-8")
        .unparsed(),
    );
    problems.into_error(&Source::new(path, &text), None)
}
