//! Numbers as Ceph prints them for people.

/// Bytes with a binary unit: `0 B`, `8 KiB`, `1.0 MiB`, `17 GiB` (Ceph: `byte_u_t`).
pub fn bytes(n: u64) -> String {
    scaled(n, 1024, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A count with a decimal unit: `38`, `1.82k` (Ceph: `si_u_t`).
pub fn count(n: u64) -> String {
    scaled(n, 1000, &["", "k", "M", "G", "T", "P", "E"])
}

fn scaled(n: u64, step: u64, units: &[&str]) -> String {
    let mut unit = 0;
    let mut whole = n;
    let mut scale = 1u64;
    while whole >= step && unit + 1 < units.len() {
        whole /= step;
        scale = scale.saturating_mul(step);
        unit += 1;
    }
    if unit == 0 || n.is_multiple_of(scale) {
        return format!("{whole}{}", units[unit]);
    }
    // As many decimals as seven characters leave room for.
    let value = n as f64 / scale as f64;
    (0..=2)
        .rev()
        .map(|decimals| format!("{value:.decimals$}{}", units[unit]))
        .find(|text| text.len() <= 7)
        .unwrap_or_else(|| format!("{value:.0}{}", units[unit]))
}

/// Bytes in so many characters, as Ceph's manager modules print them: ` 1024k`, `4034 ` (Ceph: `mgr_util.format_units`).
pub fn units(n: u64, width: usize) -> String {
    units_of(n, width, 1_024)
}

/// The same with another step between units.
pub fn units_of(n: u64, width: usize, step: u64) -> String {
    let (mut unit, mut scale) = (0, 1_u64);
    while (n / scale).to_string().len() > width - 1 && unit < 7 {
        unit += 1;
        scale = scale.saturating_mul(step);
    }
    let letter = [' ', 'k', 'M', 'G', 'T', 'P', 'E', 'Z'][unit];
    if unit == 0 {
        return format!("{n:>0$}{letter}", width - 1);
    }
    let number: String = format!("{:.6}", n as f64 / scale as f64).chars().take(width - 1).collect();
    match number.strip_suffix('.') {
        Some(whole) => format!(" {whole}{letter}"),
        None => format!("{number}{letter}"),
    }
}

/// A table with two spaces behind each column, the last one too, and no end of line at its end, as Python's
/// PrettyTable makes them for the manager's modules.
pub fn padded_table(table: &types::table::Table) -> String {
    let lines: Vec<String> = table.render().lines().map(|line| format!("{line}  ")).collect();
    lines.join("\n")
}

/// A ratio as a percentage: three decimals, as in `33.333%`.
pub fn percent(part: u64, whole: u64) -> String {
    let ratio = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{ratio:.3}")
}

/// A span of time in one or two units: `42s`, `2m`, `3h`, `5d` (Ceph: `timespan_str`).
pub fn age(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs}s"),
        120..7_200 => format!("{}m", secs / 60),
        7_200..172_800 => format!("{}h", secs / 3_600),
        172_800..1_209_600 => format!("{}d", secs / 86_400),
        1_209_600..7_257_600 => format!("{}w", secs / 604_800),
        7_257_600..63_072_000 => format!("{}M", secs / 2_592_000),
        _ => format!("{}y", secs / 31_536_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_ceph_prints_them() {
        let of = |n, s| assert_eq!(bytes(n), s);
        of(0, "0 B");
        of(8192, "8 KiB");
        of(1_048_758, "1.0 MiB");
        of(916_738_048, "874 MiB");
        of(18_410_614_784, "17 GiB");
        of(5_814_745_600, "5.4 GiB");
        of(4_034, "3.9 KiB");
        assert_eq!(count(1_823), "1.82k");
        assert_eq!(count(38), "38");
        assert_eq!(percent(1823, 5469), "33.333");
    }
}
