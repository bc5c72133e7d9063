//! `servers.ID.tools`, `servers.ID.prompts` and `lock`: what is offered of a server, and under which names.

use super::{field, text, word, workers};
use crate::spec::Absent::{self, Value, Words};
use crate::spec::{Kind, Object};
use crate::text::{Form, KeyForm};

const OVERRIDES: Kind = Kind::Table {
    key: KeyForm::Item,
    item: &Kind::Object(&OVERRIDE),
    max: 1024,
};

pub(super) static TOOLS: Object = Object {
    fields: &[
        field(
            "allow",
            Kind::List {
                item: &Kind::Text(Form::Glob),
                may_be_empty: false,
                max: 1024,
            },
            Words("all tools"),
            "Offer only tools whose own name (without prefix) matches one of these patterns: `*` is any text, `?` one \
             character.",
        ),
        field(
            "deny",
            Kind::List {
                item: &Kind::Text(Form::Glob),
                may_be_empty: false,
                max: 1024,
            },
            Words("no tools"),
            "Do not offer tools that match one of these patterns, even if allowed.",
        ),
        workers::EFFECTS,
        field(
            "overrides",
            OVERRIDES,
            Value("{}"),
            "Other names and texts for tools, by the name that the server gives them.",
        ),
    ],
    later: &[],
};

pub(super) static PROMPTS: Object = Object {
    fields: &[field(
        "overrides",
        OVERRIDES,
        Absent::Required,
        "Other names and texts for prompts, by the name that the server gives them.",
    )],
    later: &[],
};

static OVERRIDE: Object = Object {
    fields: &[
        field(
            "name",
            text(Form::ItemName),
            Words("the server's own"),
            "Name instead of the server's own; the prefix stays before it. The old name cannot be called any more. If the \
             server has an item of this name too, that one is left out.",
        ),
        field(
            "title",
            text(Form::Line { max: 256 }),
            Words("the server's own"),
            "Name for people.",
        ),
        field(
            "description",
            text(Form::Prose { max: 16 * 1024 }),
            Words("the server's own"),
            "Text that tells models what it is for.",
        ),
        field(
            "hidden",
            Kind::Bool,
            Words("it is offered"),
            "Neither list it nor let it be called.",
        ),
    ],
    later: &[],
};

const ON: Kind = Kind::Choice(&[word("quarantine"), word("warn"), word("allow")]);

pub(super) static LOCK: Object = Object {
    fields: &[
        field(
            "file",
            text(Form::NewFile),
            Absent::Required,
            "The lock file, relative to the config file; `ferromcp lock` writes it. It is read again when it changes.",
        ),
        field(
            "on_drift",
            ON,
            Value("quarantine"),
            "What becomes of a tool or prompt whose definition is not the locked one: neither listed nor callable, offered with \
             a warning in the log, or offered.",
        ),
        field(
            "on_new",
            ON,
            Value("quarantine"),
            "The same for one that is not in the lock file.",
        ),
    ],
    later: &[],
};
