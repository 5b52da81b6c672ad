//! What values options take: read as Ceph reads them, with the reason when they do not fit
//! (Ceph: `Option::parse_value` and what it calls).
//!
//! Whole numbers have decimal suffixes (`10K` is 10,000), sizes binary ones (`10K` is 10,240), durations
//! units (`1h 30m`). A number is wanted where Ceph wants one: `yes` is no boolean.

/// `N/M`, or `N` for `N/N`: how much is logged, and how much is kept in memory. What stands behind that is not
/// looked at, as in Ceph. The error says whether the numbers are out of range (true) or not there.
pub(super) fn debug_level(text: &str) -> Result<String, bool> {
    let number = |text: &str| -> Option<(i64, usize)> {
        let start = text.len() - text.trim_start().len();
        let signs = usize::from(text[start..].starts_with(['-', '+']));
        let digits = text[start + signs..].bytes().take_while(u8::is_ascii_digit).count();
        let end = start + signs + digits;
        Some((text[start..end].parse().ok()?, end))
    };
    let (log, end) = number(text).ok_or(false)?;
    let keep = text[end..].strip_prefix('/').and_then(number).map_or(log, |(keep, _)| keep);
    let fits = |level: i64| (0..=99).contains(&level);
    if fits(log) && fits(keep) { Ok(format!("{log}/{keep}")) } else { Err(true) }
}

/// Digits behind signs, nothing else (Ceph: `strict_strtoll`).
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// `true`, `false`, or a number that is 0 or is not.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => text.trim_start().parse::<i32>().ok().map(|n| n != 0),
    }
}

/// A whole number with a decimal suffix (Ceph: `strict_si_cast`).
pub(super) fn whole(text: &str) -> Option<i128> {
    const UNITS: [(char, u32); 6] = [('K', 3), ('M', 6), ('G', 9), ('T', 12), ('P', 15), ('E', 18)];
    let unit = UNITS.iter().find_map(|(unit, power)| Some((text.strip_suffix(*unit)?, *power)));
    let (number, power) = unit.unwrap_or((text, 0));
    Some(i128::from(integer(number)?) * 10_i128.pow(power))
}

/// Bytes with a binary suffix: `K`, `Ki` and `KB` are the same (Ceph: `strict_iec_cast`).
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.chars().next() {
        None => 0,
        _ if unit.len() > 2 || unit == "Bi" => return None,
        Some('B') => 0,
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        Some('P') => 50,
        Some('E') => 60,
        Some(_) => return None,
    };
    u64::try_from(integer(number)?).ok()?.checked_mul(1 << shift)
}

/// Seconds: numbers with units, which add up: `90`, `5m`, `2 hours`, `1d 12h`. Nothing is none.
pub(super) fn timespan(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text.trim_start(), 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "" if rest.is_empty() => 1,
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "wk" | "week" | "weeks" => 604_800,
            "mo" | "month" | "months" => 2_592_000,
            "y" | "yr" | "year" | "years" => 31_536_000,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_have_their_own_suffixes() {
        let cases = [("10", 10), ("+5", 5), ("-1", -1), ("10K", 10_000), ("1E", 10_i128.pow(18))];
        assert!(cases.iter().all(|(text, n)| whole(text) == Some(*n)));
        assert!(["", "x", "10k", "10Ki", "10B", "1.5G", "1 G", "0x10", " 5"].iter().all(|t| whole(t).is_none()));
        for (text, n) in
            [("10", 10), ("10K", 10 << 10), ("10Ki", 10 << 10), ("10KB", 10 << 10), ("7B", 7), ("1T", 1 << 40)]
        {
            assert_eq!(size(text), Some(n), "{text}");
        }
        assert!(["", "K", "10k", "10KiB", "1Bi", "-1", "16E", "1.5G", "1 G"].iter().all(|t| size(t).is_none()));
    }

    #[test]
    fn a_boolean_is_a_word_or_a_number() {
        for (text, wanted) in [("TRUE", Some(true)), ("2", Some(true)), ("-1", Some(true)), ("0", Some(false))] {
            assert_eq!(boolean(text), wanted, "{text}");
        }
        assert!(["yes", "on", "", "t", " true ", "1.5"].iter().all(|t| boolean(t).is_none()));
    }

    #[test]
    fn a_duration_adds_up() {
        for (text, s) in [("90", 90), ("1h30m", 5_400), ("1 min", 60), ("1d 12h", 129_600), ("", 0), ("2mo", 5_184_000)]
        {
            assert_eq!(timespan(text), Some(s), "{text}");
        }
        assert!(["-1", "x", "1.5", "1ms", "1M", "5 5"].iter().all(|t| timespan(t).is_none()));
    }

    #[test]
    fn a_debug_level_is_one_or_two_numbers_below_100() {
        for (text, wanted) in [("20", "20/20"), ("1/5", "1/5"), ("1/", "1/1"), ("1/x", "1/1"), (" 3 / 4", "3/3")] {
            assert_eq!(debug_level(text).as_deref(), Ok(wanted), "{text}");
        }
        assert_eq!(debug_level("x"), Err(false));
        assert!(["-1", "200", "1/200"].iter().all(|t| debug_level(t) == Err(true)));
    }
}
