//! Reading fields that may be absent.

use serde_json::Value;

/// Text, a number's digits, or nothing.
pub fn text(v: &Value, key: &str) -> String {
    match &v[key] {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    }
}

/// A number, also one in quotes; zero if absent.
pub fn int(v: &Value, key: &str) -> i64 {
    let field = &v[key];
    field.as_i64().or_else(|| field.as_f64().map(|f| f as i64)).or_else(|| field.as_str()?.parse().ok()).unwrap_or(0)
}

pub fn float(v: &Value, key: &str) -> f64 {
    v[key].as_f64().unwrap_or(0.0)
}

pub fn items<'a>(v: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    v[key].as_array().into_iter().flatten()
}

/// A list of OSDs: numbers, texts such as `3(0)`, or one text with commas.
pub fn ids(v: &Value, key: &str) -> Vec<i32> {
    let id = |text: &str| text.split('(').next()?.trim().parse().ok();
    if let Some(text) = v[key].as_str() {
        return text.split(',').filter_map(id).collect();
    }
    items(v, key).filter_map(|n| n.as_i64().map(|n| n as i32).or_else(|| id(n.as_str()?))).collect()
}

/// `2026-11-21T13:49:22.100066+0000` as seconds since 1970; all stamps of one cluster have the same zone.
pub fn stamp(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Howard Hinnant's days_from_civil.
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    u64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn stamps_count_from_1970() {
        assert_eq!(super::stamp("1970-01-02T00:00:01.5+0000"), Some(86_401));
        assert_eq!(super::stamp("2026-11-21T13:49:22.100066+0000"), Some(1_795_268_962));
        assert_eq!(super::stamp("0.000000"), None);
    }
}
