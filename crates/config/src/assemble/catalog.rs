//! `servers.ID.tools`, `servers.ID.prompts` and `lock`.

use std::collections::HashMap;

use super::{no_effect, workers};
use crate::fields::{Checked, Fields, Text, Value};
use crate::model::{Effect, Lock, OnUnlocked, Override, ToolFilter};
use crate::problem::{Problem, Problems, push_key, quote};

type Overrides = Vec<(String, Override)>;

pub(super) fn tools(
    mut fields: Fields,
    problems: &mut Problems,
) -> (ToolFilter, Overrides, Vec<(String, Effect)>) {
    if ["allow", "deny", "effects", "overrides"]
        .iter()
        .all(|key| fields.span(key).is_none())
    {
        problems.push(
            Problem::new(
                fields.span.clone(),
                &fields.path,
                "`tools` has no effect without `allow`, `deny`, `effects` or `overrides`",
            )
            .hint("add one of them, or remove the key"),
        );
    }
    let filter = ToolFilter {
        allow: fields.strings("allow"),
        deny: fields.strings("deny").unwrap_or_default(),
    };
    let overrides = overrides(&mut fields, problems);
    (filter, overrides, workers::effects(fields.table("effects")))
}

pub(super) fn overrides(fields: &mut Fields, problems: &mut Problems) -> Overrides {
    let path = format!("{}.overrides", fields.path);
    let mut given: HashMap<String, String> = HashMap::new();
    let mut made = Vec::new();
    for (key, checked) in fields.table("overrides") {
        let Checked {
            span,
            value: Some(Value::Object(mut fields)),
        } = checked
        else {
            continue;
        };
        let name_span = fields.span("name").unwrap_or_else(|| span.clone());
        if fields.fields.is_empty() {
            let mut path = path.clone();
            push_key(&mut path, &key);
            problems.push(
                Problem::new(span, &path, "the override changes nothing")
                    .expected("`name`, `title`, `description` or `hidden: true`")
                    .hint("add what is to be changed, or remove the entry"),
            );
            continue;
        }
        let item = one(&mut fields, problems);
        if let Some(name) = &item.name
            && let Some(other) = given.insert(name.clone(), key.clone())
        {
            problems.push(
                Problem::new(
                    name_span,
                    "name",
                    format!("the name {} is also given to {}", quote(name), quote(&other)),
                )
                .inside(&fields.path)
                .expected("a name of its own for each"),
            );
        }
        made.push((key, item));
    }
    made
}

fn one(fields: &mut Fields, problems: &mut Problems) -> Override {
    let hidden = fields.flag("hidden", false);
    if hidden {
        for key in ["name", "title", "description"] {
            if let Some(span) = fields.span(key) {
                problems
                    .push(no_effect(span, &fields.path, key, "it is hidden").hint("remove one of the two"));
            }
        }
    }
    Override {
        name: fields.string("name"),
        title: fields.string("title"),
        description: fields.string("description"),
        hidden,
    }
}

/// Without a file there is none; that `file` is missing is reported already.
pub(super) fn lock(mut fields: Fields) -> Option<Lock> {
    let on = |word| match word {
        Some("warn") => OnUnlocked::Warn,
        Some("allow") => OnUnlocked::Allow,
        _ => OnUnlocked::Quarantine,
    };
    Some(Lock {
        on_drift: on(fields.word("on_drift")),
        on_new: on(fields.word("on_new")),
        file: fields.text("file").and_then(Text::into_path)?,
    })
}
