//! Lists, spans and sizes as people say them.

use types::{OsdId, PgId};

/// `a`, `a and b`, `a, b and c`; of more than six, the first five and how many more.
pub fn list(items: &[String]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        all if all.len() > 6 => format!("{} and {} more", all[..5].join(", "), all.len() - 5),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

pub fn osds(ids: &[OsdId]) -> String {
    list(&ids.iter().map(|id| format!("osd.{id}")).collect::<Vec<_>>())
}

/// `PG 1.0`, `3 PGs (1.0, 1.3 and 2.a)`.
pub fn pgs(ids: &[PgId]) -> String {
    match ids {
        [one] => format!("PG {one}"),
        all => format!("{} PGs ({})", all.len(), list(&all.iter().map(PgId::to_string).collect::<Vec<_>>())),
    }
}

/// `1 object`, `2 objects`.
pub fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `is` or `are`.
pub fn is(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

pub fn span(secs: u64) -> String {
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

pub fn bytes(n: u64) -> String {
    let (mut value, mut unit) = (n as f64, 0);
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 && unit > 0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

pub fn percent(part: f64) -> String {
    let part = part * 100.0;
    if part < 9.95 && part > 0.0 { format!("{part:.1} %") } else { format!("{part:.0} %") }
}
