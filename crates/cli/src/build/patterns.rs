//! From `validation.patterns` and `validation.redact` to what the guard does.

use ferromcp_config::{OutputRedaction, PatternAction, Patterns};
use ferromcp_core::guard::{Action, PatternConfig, PatternPolicy, Redactor, Scope, Select, Sensitive, rules};

use crate::exit::Failure;

/// The policy of one `patterns` block; `place` names the block in errors.
pub(crate) fn patterns(set: &Patterns, place: &str) -> Result<PatternPolicy, Failure> {
    let mut config = PatternConfig {
        strongest: action(set.action),
        ..PatternConfig::default()
    };
    for (id, what) in &set.rules {
        for select in selected(id, &format!("{place}.rules"))? {
            config.actions.push((select, action(*what)));
        }
    }
    for (i, exempt) in set.exempt.iter().enumerate() {
        let selects = match &exempt.rules {
            None => vec![Select::All],
            Some(ids) => {
                let mut all = Vec::new();
                for id in ids {
                    all.extend(selected(id, &format!("{place}.exempt[{i}].rules"))?);
                }
                all
            }
        };
        config.scopes.extend(selects.into_iter().map(|select| Scope {
            tool: exempt.tool.clone(),
            field: exempt.field.clone(),
            select,
            action: Action::Off,
        }));
    }
    PatternPolicy::compile(&config).map_err(|e| Failure::Usage(format!("{place}: {e}")))
}

const fn action(set: PatternAction) -> Action {
    match set {
        PatternAction::Off => Action::Off,
        PatternAction::Flag => Action::Flag,
        PatternAction::Block => Action::Block,
    }
}

/// The rules that an id, or the beginning of ids, stands for.
fn selected(id: &str, place: &str) -> Result<Vec<Select>, Failure> {
    let within = |rule: &str| {
        rule.strip_prefix(id)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found: Vec<_> = rules().filter(|rule| within(rule.id)).collect();
    if found.is_empty() {
        return Err(Failure::Usage(format!(
            "{place}: there is no pattern rule `{id}`; docs/validation.md lists them"
        )));
    }
    // All of a class at once: the number of exemptions is bounded.
    if found.iter().all(|rule| rule.class == found[0].class)
        && rules().filter(|rule| rule.class == found[0].class).count() == found.len()
    {
        return Ok(vec![Select::Class(found[0].class)]);
    }
    if found.len() == rules().len() {
        return Ok(vec![Select::All]);
    }
    Ok(found
        .into_iter()
        .map(|rule| Select::Rule(rule.id.to_owned()))
        .collect())
}

/// What is taken out of results.
pub(crate) fn redactor(set: OutputRedaction) -> Redactor {
    let mut kinds = Vec::new();
    if set.secrets {
        kinds.extend(Sensitive::SECRETS);
    }
    if set.pii {
        kinds.extend(Sensitive::PERSONAL);
    }
    Redactor::new(&kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_beginnings_of_ids_choose_rules() {
        assert_eq!(selected("pattern", "x").unwrap(), [Select::All]);
        let class = selected("pattern.sql", "x").unwrap();
        assert!(matches!(class[..], [Select::Class(_)]), "{class:?}");
        let one = rules().next().unwrap().id;
        assert!(!selected(one, "x").unwrap().is_empty());
        for wrong in ["pattern.sq", "pattern.sql.", "sql", "", "pattern.nothing"] {
            assert!(selected(wrong, "x").is_err(), "{wrong}");
        }
    }
}
