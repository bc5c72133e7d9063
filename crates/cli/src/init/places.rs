//! Where MCP hosts keep their servers. Sources: docs/first-run.md.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ferromcp_config::Place;

use crate::exit::Failure;

/// A file in which a host may keep servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Name for options.
    pub(super) slug: String,
    /// Name for people.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// `None`: whichever is there.
    pub(super) place: Option<Place>,
    /// It belongs to the directory, and may be shared with others.
    pub(super) project: bool,
}

/// What the paths depend on.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    system: System,
    home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    config: Option<PathBuf>,
    /// `APPDATA` of Windows.
    app_data: Option<PathBuf>,
    project: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Linux,
    MacOs,
    Windows,
}

const THIS_SYSTEM: System = if cfg!(target_os = "macos") {
    System::MacOs
} else if cfg!(windows) {
    System::Windows
} else {
    System::Linux
};

impl Surroundings {
    pub(super) fn of_this_process() -> Result<Self, Failure> {
        let path = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        Ok(Self {
            system: THIS_SYSTEM,
            home: path(if cfg!(windows) { "USERPROFILE" } else { "HOME" }),
            config: path("XDG_CONFIG_HOME"),
            app_data: path("APPDATA"),
            project: std::env::current_dir()
                .map_err(|e| Failure::other("cannot tell the current directory", e))?,
        })
    }

    /// Where applications keep what users set, as Electron has it.
    fn applications(&self) -> Option<PathBuf> {
        match self.system {
            System::Linux => self.dot_config(),
            System::MacOs => self
                .home
                .as_ref()
                .map(|home| home.join("Library/Application Support")),
            System::Windows => self.app_data.clone(),
        }
    }

    fn dot_config(&self) -> Option<PathBuf> {
        let usual = || self.home.as_ref().map(|home| home.join(".config"));
        self.config.clone().or_else(usual)
    }

    /// All files, whether they are there or not.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let applications = self.applications();
        let zed = match self.system {
            System::Linux => self.dot_config().map(|dir| dir.join("zed")),
            // Not where applications are, and whatever XDG says.
            System::MacOs => self.home.as_ref().map(|home| home.join(".config/zed")),
            System::Windows => self.app_data.as_ref().map(|dir| dir.join("Zed")),
        };
        let project = Some(&self.project);
        let (home, applications) = (self.home.as_ref(), applications.as_ref());
        let known = [
            (
                "claude-desktop",
                "Claude Desktop",
                applications,
                "Claude/claude_desktop_config.json",
                Place::McpServers,
            ),
            (
                "claude-code",
                "Claude Code",
                home,
                ".claude.json",
                Place::McpServers,
            ),
            ("cursor", "Cursor", home, ".cursor/mcp.json", Place::McpServers),
            (
                "vscode",
                "VS Code",
                applications,
                "Code/User/mcp.json",
                Place::Servers,
            ),
            (
                "windsurf",
                "Windsurf",
                home,
                ".codeium/windsurf/mcp_config.json",
                Place::McpServers,
            ),
            ("zed", "Zed", zed.as_ref(), "settings.json", Place::ContextServers),
            (
                "claude-code-project",
                "Claude Code (this directory)",
                project,
                ".mcp.json",
                Place::McpServers,
            ),
            (
                "cursor-project",
                "Cursor (this directory)",
                project,
                ".cursor/mcp.json",
                Place::McpServers,
            ),
            (
                "vscode-project",
                "VS Code (this directory)",
                project,
                ".vscode/mcp.json",
                Place::Servers,
            ),
        ];
        let made = known
            .into_iter()
            .filter_map(|(slug, name, base, relative, place)| {
                Some(Candidate {
                    slug: slug.to_owned(),
                    name: name.to_owned(),
                    path: base?.join(relative),
                    place: Some(place),
                    project: slug.ends_with("-project"),
                })
            });
        made.collect()
    }

    /// The files that are there; of two names of one file, the first.
    pub(super) fn found(&self) -> Vec<Candidate> {
        let mut seen: Vec<PathBuf> = Vec::new();
        let mut found = self.candidates();
        found.retain(|candidate| {
            // One that cannot be looked at is not passed over: reading it says why.
            let real = match candidate.path.canonicalize() {
                Ok(real) => real,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return false,
                Err(_) => candidate.path.clone(),
            };
            let new = !seen.contains(&real);
            seen.push(real);
            new
        });
        found
    }

    /// The files that options name.
    pub(super) fn named(&self, names: &[String]) -> Result<Vec<Candidate>, Failure> {
        let candidates = self.candidates();
        let mut named: Vec<Candidate> = Vec::new();
        for name in names {
            let known = candidates.iter().find(|candidate| candidate.slug == *name);
            let candidate = match known {
                Some(known) if known.path.exists() => known.clone(),
                Some(known) => {
                    return Err(Failure::Usage(format!(
                        "--host {name}: there is no {}. Start the host once, or name its file",
                        known.path.display()
                    )));
                }
                None => self.file(name, &candidates)?,
            };
            if !named.iter().any(|other| other.path == candidate.path) {
                named.push(candidate);
            }
        }
        Ok(named)
    }

    fn file(&self, name: &str, candidates: &[Candidate]) -> Result<Candidate, Failure> {
        let path = self.project.join(name);
        let Ok(real) = path.canonicalize() else {
            let names: Vec<&str> = candidates
                .iter()
                .map(|candidate| candidate.slug.as_str())
                .collect();
            return Err(Failure::Usage(format!(
                "--host {name}: neither a file nor one of {}",
                names.join(", ")
            )));
        };
        let known = candidates
            .iter()
            .find(|candidate| candidate.path.canonicalize().is_ok_and(|known| known == real));
        Ok(known.cloned().unwrap_or_else(|| Candidate {
            slug: slug(&path),
            name: path
                .file_name()
                .map_or_else(|| name.to_owned(), |file| file.to_string_lossy().into_owned()),
            path,
            place: None,
            project: false,
        }))
    }
}

/// What the file's name gives for an id.
fn slug(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let made: String = stem
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .take(12)
        .collect();
    if made.is_empty() {
        "host".to_owned()
    } else {
        made.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(system: System, config: Option<&str>) -> Surroundings {
        Surroundings {
            system,
            home: Some("/h".into()),
            config: config.map(PathBuf::from),
            app_data: Some("/roaming".into()),
            project: "/p".into(),
        }
    }

    fn path(around: &Surroundings, slug: &str) -> String {
        let candidates = around.candidates();
        let candidate = candidates.iter().find(|one| one.slug == slug).unwrap();
        candidate.path.to_str().unwrap().to_owned()
    }

    #[test]
    fn every_system_has_its_paths() {
        let linux = around(System::Linux, None);
        let mac = around(System::MacOs, Some("/xdg"));
        let windows = around(System::Windows, None);
        for (slug, on_linux, on_mac, on_windows) in [
            (
                "claude-desktop",
                "/h/.config/Claude/claude_desktop_config.json",
                "/h/Library/Application Support/Claude/claude_desktop_config.json",
                "/roaming/Claude/claude_desktop_config.json",
            ),
            (
                "vscode",
                "/h/.config/Code/User/mcp.json",
                "/h/Library/Application Support/Code/User/mcp.json",
                "/roaming/Code/User/mcp.json",
            ),
            (
                "zed",
                "/h/.config/zed/settings.json",
                "/h/.config/zed/settings.json",
                "/roaming/Zed/settings.json",
            ),
            (
                "claude-code",
                "/h/.claude.json",
                "/h/.claude.json",
                "/h/.claude.json",
            ),
            (
                "cursor-project",
                "/p/.cursor/mcp.json",
                "/p/.cursor/mcp.json",
                "/p/.cursor/mcp.json",
            ),
        ] {
            assert_eq!(path(&linux, slug), on_linux);
            assert_eq!(path(&mac, slug), on_mac);
            assert_eq!(path(&windows, slug), on_windows);
        }
        let moved = around(System::Linux, Some("/xdg"));
        assert_eq!(path(&moved, "zed"), "/xdg/zed/settings.json");
        assert_eq!(path(&moved, "vscode"), "/xdg/Code/User/mcp.json");
    }

    #[test]
    fn a_file_has_a_name_that_fits_an_id() {
        assert_eq!(slug(Path::new("/a/My Host_File-1.json")), "myhostfile1");
        assert_eq!(slug(Path::new("/a/ü.json")), "host");
    }
}
