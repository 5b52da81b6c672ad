//! Class `numops`: arithmetic on decimal numbers kept as text in omap values.

use bytes::Bytes;
use denc::ByteStr;
use types::errno::{EBADMSG, EINVAL, ENODATA, ENOENT};

use crate::{Class, ClsContext, Flags, Method, Result, input};

pub const CLASS: Class = Class {
    name: "numops",
    methods: &[
        Method { name: "add", flags: Flags::RdWr, call: |c, i, _| apply(c, i, |a, b| a + b) },
        Method { name: "mul", flags: Flags::RdWr, call: |c, i, _| apply(c, i, |a, b| a * b) },
    ],
    filters: &[],
};

/// `DECIMAL_PRECISION`: significant digits kept.
const PRECISION: usize = 10;

fn apply(ctx: &mut dyn ClsContext, bytes: Bytes, op: fn(f64, f64) -> f64) -> Result<i32> {
    let (key, operand): (ByteStr, ByteStr) = input(bytes)?;
    let operand = parse(operand.as_bytes()).ok_or(EINVAL)?;
    let stored = match ctx.omap_value(key.as_bytes()) {
        Ok(text) => parse(&text).ok_or(EBADMSG)?,
        Err(e) if e == ENOENT || e == ENODATA => 0.0,
        Err(e) => return Err(e),
    };
    let result = general(op(stored, operand));
    ctx.omap_set([(key, Bytes::from(result))].into())?;
    Ok(0)
}

/// As `strtod` on the whole of the text; nothing is 0.
fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    if text.is_empty() { Some(0.0) } else { text.parse().ok() }
}

/// As C's `%.10g`, which is how a C++ stream prints.
fn general(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() { "nan".into() } else { if v > 0.0 { "inf" } else { "-inf" }.into() };
    }
    let scientific = format!("{v:.*e}", PRECISION - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("the e format has an e");
    let exponent: i32 = exponent.parse().expect("its exponent is a number");
    let trimmed = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => s.to_owned(),
    };
    if exponent < -4 || exponent >= PRECISION as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    trimmed(&format!("{v:.*}", (PRECISION as i32 - 1 - exponent) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Object;

    #[test]
    fn numbers_print_as_a_stream_prints_them() {
        for (v, text) in [
            (7.5, "7.5"),
            (0.0, "0"),
            (1e10, "1e+10"),
            (9_999_999_999.0, "9999999999"),
            (0.1 + 0.2, "0.3"),
            (1e-5, "1e-05"),
            (-123.25, "-123.25"),
            (1.0 / 3.0, "0.3333333333"),
        ] {
            assert_eq!(general(v), text);
        }
    }

    #[test]
    fn adding_starts_at_zero_and_text_that_is_no_number_is_refused() {
        let args = |v: &str| denc::to_bytes(&(ByteStr::from("n"), ByteStr::from(v)), 0);
        let mut o = Object::default();
        assert_eq!(o.call("numops", "add", &args("5")), Ok(vec![]));
        assert_eq!(o.call("numops", "add", &args("2.5")), Ok(vec![]));
        assert_eq!(o.omap[&ByteStr::from("n")], "7.5");
        assert_eq!(o.call("numops", "mul", &args("-2")), Ok(vec![]));
        assert_eq!(o.omap[&ByteStr::from("n")], "-15");
        assert_eq!(o.call("numops", "add", &args("five")), Err(EINVAL));
        o.omap.insert("n".into(), Bytes::from_static(b"junk"));
        assert_eq!(o.call("numops", "add", &args("1")), Err(EBADMSG));
    }
}
