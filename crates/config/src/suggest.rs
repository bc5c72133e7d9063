//! "Did you mean": the known word nearest to an unknown one.

/// Names that other programs use for what we call differently.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("mcpservers", "servers"),
    ("mcp_servers", "servers"),
    ("upstreams", "servers"),
    ("cmd", "command"),
    ("arguments", "args"),
    ("environment", "env"),
    ("workdir", "cwd"),
    ("working_directory", "cwd"),
    ("endpoint", "url"),
    ("transport", "type"),
    ("logging", "log"),
    ("address", "http"),
    ("addr", "http"),
    ("tools_prefix", "prefix"),
];

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let folded = fold(word);
    if let Some(same) = candidates.clone().find(|c| fold(c) == folded) {
        return Some(same);
    }
    let lower = word.to_lowercase();
    if let Some((_, ours)) = OTHER_NAMES.iter().find(|(theirs, _)| *theirs == lower)
        && let Some(found) = candidates.clone().find(|c| c == ours)
    {
        return Some(found);
    }
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|c| (distance(&lower, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Edits (insert, delete, replace, swap of neighbours) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
