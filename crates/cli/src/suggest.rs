//! What a mistyped word was meant to be.

/// The candidate that is nearest, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (word.chars().count() / 4).clamp(1, 4);
    let near = candidates.into_iter().map(|c| (distance(word, c), c)).filter(|(d, _)| *d <= far);
    near.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// `; did you mean X?`, or nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|c| format!("; did you mean {c}?")).unwrap_or_default()
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_what_was_meant_and_nonsense_finds_nothing() {
        let names = ["osd_heartbeat_grace", "osd_heartbeat_interval", "mon_tick_interval"];
        assert_eq!(nearest("osd_hartbeat_garce", names), Some("osd_heartbeat_grace"));
        assert_eq!(nearest("osd_colour", names), None);
        assert_eq!(did_you_mean("mon_tik_interval", names), "; did you mean mon_tick_interval?");
        assert_eq!(distance("ab", "ba"), 1);
    }
}
