//! Which settings a running server takes over, and how.

/// What a reload makes of a setting that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It is in force from the next call on.
    Live,
    /// It is in force with new workers (child processes or sessions) of the servers that it concerns; the old ones finish
    /// their calls.
    Workers,
    /// It needs a restart: a reload that would change it is refused.
    Restart,
}

impl Reload {
    /// The word in plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Workers => "workers",
            Self::Restart => "restart",
        }
    }
}

/// By the beginning of the path; the longest one counts. Every setting is under one of them, which a test checks.
const TABLE: &[(&str, Reload)] = &[
    ("listen", Reload::Restart),
    ("server", Reload::Live),
    // Also the name under which records go to a collector.
    ("server.name", Reload::Restart),
    ("servers", Reload::Workers),
    ("servers.ID.disabled", Reload::Live),
    ("builtin", Reload::Live),
    ("supervisor", Reload::Live),
    ("supervisor.start_timeout", Reload::Workers),
    ("supervisor.heartbeat", Reload::Workers),
    ("supervisor.max_workers", Reload::Restart),
    ("supervisor.drain", Reload::Restart),
    ("sessions", Reload::Restart),
    ("validation", Reload::Live),
    ("validation.max_body", Reload::Restart),
    ("log", Reload::Restart),
    ("tenants", Reload::Live),
    ("auth", Reload::Restart),
    ("auth.anonymous", Reload::Live),
    ("limits", Reload::Live),
    ("lock", Reload::Live),
    ("audit", Reload::Restart),
    ("admin", Reload::Restart),
];

/// What a reload makes of a setting, by its path with placeholders.
pub(crate) fn reload_of(pattern: &str) -> Reload {
    let under = |begin: &str| {
        pattern
            .strip_prefix(begin)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = TABLE.iter().filter(|(begin, _)| under(begin));
    // What nobody has thought of is not changed while running.
    found
        .max_by_key(|(begin, _)| begin.len())
        .map_or(Reload::Restart, |(_, reload)| *reload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ROOT;
    use crate::spec::{Kind, Object};

    fn patterns(object: &'static Object, path: &str, out: &mut Vec<String>) {
        for field in object.fields {
            let path = if path.is_empty() {
                field.key.to_owned()
            } else {
                format!("{path}.{}", field.key)
            };
            match &field.kind {
                Kind::Object(inner) => patterns(inner, &path, out),
                Kind::Table {
                    key,
                    item: Kind::Object(inner),
                    ..
                } => patterns(inner, &format!("{path}.{}", key.placeholder()), out),
                _ => {}
            }
            out.push(path);
        }
    }

    #[test]
    fn every_block_is_in_the_table_and_every_line_of_the_table_is_a_setting() {
        let mut all = Vec::new();
        patterns(&ROOT, "", &mut all);
        for field in ROOT.fields {
            assert!(
                TABLE.iter().any(|(begin, _)| *begin == field.key),
                "{}",
                field.key
            );
        }
        for (begin, _) in TABLE {
            assert!(
                all.iter().any(|pattern| pattern == begin),
                "{begin} is no setting"
            );
        }
        assert_eq!(reload_of("servers.ID.disabled"), Reload::Live);
        assert_eq!(reload_of("servers.ID.env.NAME"), Reload::Workers);
        assert_eq!(reload_of("server"), Reload::Live);
        assert_eq!(reload_of("unheard.of"), Reload::Restart);
    }
}
