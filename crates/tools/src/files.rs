//! The file tools: settings, who may run, and the way from a call to the blocking pool and back.

mod definitions;
mod delete;
mod jail;
mod job;
mod list;
mod read;
mod refusal;
mod search;
mod sniff;
mod time;
mod walk;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferromcp_core::{CallContext, CallError, Payload, Reply, Spec};
use tokio::sync::Semaphore;

use self::jail::Jail;
use self::job::Job;
use self::refusal::Refusal;
use crate::pack::PackError;

/// Short jobs (read, write, delete) at a time; more wait.
const MAX_SHORT: usize = 64;

/// What the file tools may do, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSettings {
    /// Directories that the tools may see. None: no file tools. A directory given twice counts
    /// once.
    pub roots: Vec<PathBuf>,
    /// Offer `write_file`. Default false.
    pub write: bool,
    /// Offer `delete_file`. Default false.
    pub delete: bool,
    /// Most bytes of a file that one `read_file` returns. Default 1 MiB. Base64 of binary files
    /// makes the result a third larger.
    pub max_read: u64,
    /// Most bytes that one `write_file` takes. Default 4 MiB; the limit on strings in arguments is
    /// usually lower.
    pub max_write: u64,
    /// Bounds of one `search_files`.
    pub search: SearchLimits,
}

/// Bounds of one search. It ends with what it found so far when one is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchLimits {
    /// Most files and directories looked at. Default 200,000.
    pub max_entries: usize,
    /// Most bytes of content searched in all. Default 512 MiB.
    pub max_bytes: u64,
    /// Most bytes searched in one file, from its start. Default 8 MiB.
    pub max_file_bytes: u64,
    /// Most time; the deadline of the call counts too where it is sooner. Default 20 s.
    pub max_time: Duration,
}

impl Default for FilesSettings {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            write: false,
            delete: false,
            max_read: 1 << 20,
            max_write: 4 << 20,
            search: SearchLimits::default(),
        }
    }
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self {
            max_entries: 200_000,
            max_bytes: 512 << 20,
            max_file_bytes: 8 << 20,
            max_time: Duration::from_secs(20),
        }
    }
}

/// One of the file tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    List,
    Read,
    Write,
    Delete,
    Search,
}

impl Tool {
    const ALL: [Self; 5] = [Self::List, Self::Read, Self::Search, Self::Write, Self::Delete];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::List => "list_dir",
            Self::Read => "read_file",
            Self::Write => "write_file",
            Self::Delete => "delete_file",
            Self::Search => "search_files",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    fn allowed(self, settings: &FilesSettings) -> bool {
        match self {
            Self::List | Self::Read | Self::Search => true,
            Self::Write => settings.write,
            Self::Delete => settings.delete,
        }
    }
}

/// The open roots, and what may be done in them.
#[derive(Debug)]
pub(crate) struct Files {
    jail: Jail,
    settings: FilesSettings,
    /// Room for short jobs.
    short: Arc<Semaphore>,
    /// Room for walks through trees, which keep a core busy.
    long: Arc<Semaphore>,
    /// Held while a file is put in place or appended to: otherwise an append could go to a file
    /// that is being replaced, and be lost.
    placing: Mutex<()>,
}

impl Files {
    pub(crate) fn open(settings: &FilesSettings) -> Result<Self, PackError> {
        let limits = [
            ("max_read", settings.max_read),
            ("max_write", settings.max_write),
            ("search.max_entries", settings.search.max_entries as u64),
            ("search.max_bytes", settings.search.max_bytes),
            ("search.max_file_bytes", settings.search.max_file_bytes),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(PackError::ZeroLimit { name });
        }
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            jail: Jail::open(&settings.roots)?,
            settings: settings.clone(),
            short: Arc::new(Semaphore::new(MAX_SHORT)),
            long: Arc::new(Semaphore::new(cores.max(2))),
            placing: Mutex::new(()),
        })
    }

    pub(crate) fn specs(&self) -> Vec<Spec> {
        Tool::ALL
            .into_iter()
            .filter(|tool| tool.allowed(&self.settings))
            .map(|tool| {
                let definition = definitions::definition(tool, &self.settings, &self.jail);
                Spec::new(tool.name(), definition.to_string())
            })
            .collect()
    }

    /// Advice for models.
    pub(crate) fn instructions(&self) -> String {
        format!(
            "The file tools see these directories and nothing else: {}. {}",
            self.jail.names(),
            self.jail.addressing()
        )
    }

    pub(crate) async fn call(self: &Arc<Self>, tool: Tool, cx: CallContext<'_>) -> Result<Reply, CallError> {
        if !tool.allowed(&self.settings) {
            let text = format!("{} is switched off on this server", tool.name());
            return Ok(Reply::Complete(Payload::error_text(&text)));
        }
        let arguments = cx.arguments;
        match tool {
            Tool::List => {
                let args: list::Args = arguments.parse()?;
                self.run(cx, &self.long, move |files, job| list::run(files, &args, job))
                    .await
            }
            Tool::Read => {
                let args: read::Args = arguments.parse()?;
                self.run(cx, &self.short, move |files, job| read::run(files, &args, job))
                    .await
            }
            Tool::Write => {
                let args: write::Args = arguments.parse()?;
                self.run(cx, &self.short, move |files, job| write::run(files, &args, job))
                    .await
            }
            Tool::Delete => {
                let args: delete::Args = arguments.parse()?;
                self.run(cx, &self.short, move |files, _| delete::run(files, &args))
                    .await
            }
            Tool::Search => {
                let args: search::Args = arguments.parse()?;
                self.run(cx, &self.long, move |files, job| search::run(files, &args, job))
                    .await
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        cx: CallContext<'_>,
        room: &Arc<Semaphore>,
        work: impl FnOnce(&Self, &Job) -> Result<Payload, Refusal> + Send + 'static,
    ) -> Result<Reply, CallError> {
        let files = Arc::clone(self);
        let done = job::run(cx, room, move |job| work(&files, job)).await?;
        Ok(Reply::Complete(done.unwrap_or_else(|refusal| refusal.payload())))
    }
}
