//! The pack as one source of the gateway.

use std::path::PathBuf;
use std::sync::Arc;

use ferromcp_core::{CallContext, CallError, ErrorCode, Listing, Operation, Source, SourceFuture, Spec};

use crate::echo::{self as echo_tool};
use crate::files::{Files, FilesSettings, Tool};

/// Name of the source in the catalog.
const SOURCE: &str = "builtin";

/// What the pack offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Offer `echo`. Default true.
    pub echo: bool,
    /// The file tools. Without a root there are none (the default).
    pub files: FilesSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            echo: true,
            files: FilesSettings::default(),
        }
    }
}

/// Why the pack cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A root cannot be opened.
    #[error(
        "file root {}: {source}; name a directory that exists and that this process may read",
        path.display()
    )]
    Root {
        /// The root as configured.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A root is something else than a directory.
    #[error("file root {} is not a directory; name the directory that it is in", path.display())]
    NotADirectory {
        /// The root as configured.
        path: PathBuf,
    },
    /// A limit that lets nothing through.
    #[error("{name} of the file tools is 0, so that they could do nothing; set at least 1")]
    ZeroLimit {
        /// Which limit.
        name: &'static str,
    },
}

#[derive(Debug)]
struct Pack {
    files: Option<Arc<Files>>,
}

/// The pack with nothing but `echo`, as a source named `builtin` without a prefix.
pub fn echo() -> Listing {
    assemble(true, None)
}

/// The pack as a source named `builtin` without a prefix. Opens the file roots, blocking; they stay
/// open, so a root that is moved or replaced later is not noticed.
///
/// # Errors
/// A root is missing, not a directory or not readable, or a limit is 0.
pub fn listing(settings: &Settings) -> Result<Listing, PackError> {
    let files = if settings.files.roots.is_empty() {
        None
    } else {
        Some(Arc::new(Files::open(&settings.files)?))
    };
    Ok(assemble(settings.echo, files))
}

fn assemble(echo: bool, files: Option<Arc<Files>>) -> Listing {
    let mut tools = Vec::new();
    if echo {
        tools.push(Spec::new(echo_tool::NAME, echo_tool::DEFINITION));
    }
    let mut instructions = None;
    if let Some(files) = &files {
        tools.extend(files.specs());
        instructions = Some(files.instructions());
    }
    let mut listing = Listing::new(SOURCE, Arc::new(Pack { files }));
    listing.offers.tools = !tools.is_empty();
    listing.tools = tools;
    listing.instructions = instructions;
    listing
}

impl Source for Pack {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        if cx.call.operation == Operation::CallTool {
            if cx.local_name == echo_tool::NAME {
                return Box::pin(std::future::ready(echo_tool::call(&cx)));
            }
            if let (Some(files), Some(tool)) = (&self.files, Tool::named(cx.local_name)) {
                return Box::pin(files.call(tool, cx));
            }
        }
        Box::pin(std::future::ready(Err(CallError::new(
            ErrorCode::ToolNotFound,
            format!("the built-in pack has no {:?}", cx.local_name),
        ))))
    }
}
