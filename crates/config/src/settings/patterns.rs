//! `validation.patterns`, and the same block of a tenant.

use super::{field, text, texts, word};
use crate::spec::Absent::{Value, Words};
use crate::spec::{Choice, Kind, Object};
use crate::text::{Form, KeyForm};

const ACTIONS: &[Choice] = &[word("block"), word("flag"), word("off")];

pub(crate) static PATTERNS: Object = Object {
    fields: &[
        field(
            "action",
            Kind::Choice(ACTIONS),
            Value("block"),
            "The strongest thing that a rule does: `block` refuses the call, `flag` only records, `off` looks for nothing.",
        ),
        field(
            "rules",
            Kind::Table {
                key: KeyForm::Rule,
                item: &Kind::Choice(ACTIONS),
                max: 256,
            },
            Value("{}"),
            "What single rules do, other than by default; later entries win. Not stronger than `action`.",
        ),
        field(
            "exempt",
            texts(&Kind::Object(&EXEMPTION), true, 64),
            Value("[]"),
            "Fields in which rules do not apply: file content may hold `<script>`.",
        ),
    ],
    later: &[],
};

static EXEMPTION: Object = Object {
    fields: &[
        field(
            "tool",
            text(Form::Glob),
            Value("*"),
            "Tools, by listed name. An exemption needs `tool` or `field`.",
        ),
        field(
            "field",
            text(Form::Glob),
            Value("*"),
            "Fields of the arguments, by name; it holds for all that is inside the field, too.",
        ),
        field(
            "rules",
            texts(&Kind::Text(Form::Rule), false, 256),
            Words("all rules"),
            "Only these rules.",
        ),
    ],
    later: &[],
};
