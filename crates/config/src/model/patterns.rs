//! Pattern rules and output redaction as plain data.

/// `validation.patterns`: what the pattern rules do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns {
    /// The strongest thing any rule does; default block. With `Off` there are neither `rules` nor `exempt`.
    pub action: PatternAction,
    /// By rule id or beginning of ids up to a dot (`pattern.sql`), in the order of the file. Whether the rules exist is not
    /// checked here. Never stronger than `action`.
    pub rules: Vec<(String, PatternAction)>,
    /// Fields in which rules do not apply, at most 64.
    pub exempt: Vec<PatternExemption>,
}

/// What a pattern rule does with an argument that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PatternAction {
    /// Nothing; it is not looked for.
    Off,
    /// Records it.
    Flag,
    /// Refuses the call.
    #[default]
    Block,
}

/// Fields in which rules do not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternExemption {
    /// Pattern on the listed name of the tool; `*` unless set.
    pub tool: String,
    /// Pattern on the name of the field; `*` unless set. Not both are `*` by default.
    pub field: String,
    /// Rule ids or beginnings of ids; `None` means all.
    pub rules: Option<Vec<String>>,
}

/// `validation.redact`: what is taken out of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputRedaction {
    /// Keys, tokens and passwords; default false.
    pub secrets: bool,
    /// Data on persons; default false.
    pub pii: bool,
}
