//! What commands print: an ordered tree, rendered as Ceph's formatters do.
//!
//! Numbers keep their kind, keys their order, and arrays the name that their items have in XML.

use std::borrow::Cow;
use std::fmt::Write;

/// A value in a command's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Dump {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(String),
    /// The items, and the name of each in XML.
    Array(Cow<'static, str>, Vec<Dump>),
    Object(Vec<(Cow<'static, str>, Dump)>),
}

/// The formats that `-f` names, other than `plain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    JsonPretty,
    Xml,
    XmlPretty,
}

impl Format {
    /// `None` for `plain` and for names that no formatter has (Ceph then falls back to plain or
    /// json, as the command likes).
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "json-pretty" => Some(Self::JsonPretty),
            "xml" => Some(Self::Xml),
            "xml-pretty" => Some(Self::XmlPretty),
            _ => None,
        }
    }
}

impl Dump {
    pub fn obj() -> Self {
        Self::Object(Vec::new())
    }

    /// An array whose items are called `item` in XML.
    pub fn arr<T: Into<Dump>>(item: impl Into<Cow<'static, str>>, items: impl IntoIterator<Item = T>) -> Self {
        Self::Array(item.into(), items.into_iter().map(Into::into).collect())
    }

    /// A string from anything that can be shown.
    pub fn text(value: impl std::fmt::Display) -> Self {
        Self::Str(value.to_string())
    }

    /// Adds a field to an object.
    ///
    /// # Panics
    /// If `self` is not an object.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Dump>) -> Self {
        self.put(key, value);
        self
    }

    /// Adds a field to an object.
    ///
    /// # Panics
    /// If `self` is not an object.
    pub fn put(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Dump>) {
        match self {
            Self::Object(fields) => fields.push((key.into(), value.into())),
            other => panic!("a field was put into {other:?}, which is no object"),
        }
    }

    /// Adds all fields of another object.
    ///
    /// # Panics
    /// If either is not an object.
    pub fn extend(&mut self, other: Dump) {
        let Self::Object(more) = other else { panic!("only an object has fields to add") };
        for (key, value) in more {
            self.put(key, value);
        }
    }

    /// A field of an object.
    pub fn get(&self, key: &str) -> Option<&Dump> {
        match self {
            Self::Object(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Each field of a tree of counters, with nothing in it.
    #[must_use]
    pub fn loggers(&self) -> Self {
        let Self::Object(fields) = self else { return Self::obj() };
        Self::Object(fields.iter().map(|(name, _)| (name.clone(), Self::obj())).collect())
    }

    /// Of a tree of counters one logger, and of that one counter, if these are asked for. What does not exist is left
    /// out, as in Ceph.
    #[must_use]
    pub fn picked(self, logger: Option<&str>, counter: Option<&str>) -> Self {
        let pick = |from: &Self, name: &str| {
            from.get(name).map_or_else(Self::obj, |v| Self::obj().with(name.to_owned(), v.clone()))
        };
        match (logger, counter) {
            (None, _) => self,
            (Some(l), None) => pick(&self, l),
            (Some(l), Some(c)) => self.get(l).map_or_else(Self::obj, |f| Self::obj().with(l.to_owned(), pick(f, c))),
        }
    }

    /// What `perf reset` says of a tree of counters: all of it, or the logger that was named, counts from 0 again.
    #[must_use]
    pub fn perf_reset(&self, which: &str) -> Self {
        match which == "all" || self.get(which).is_some() {
            true => Self::obj().with("success", format!("perf reset {which}")),
            false => Self::obj().with("error", format!("Not find: {which}")),
        }
    }

    /// What `perf schema` says of a tree of counters: of each its type (Ceph: `PERFCOUNTER_U64`, and with
    /// `PERFCOUNTER_LONGRUNAVG` of those that are a sum and a count).
    #[must_use]
    pub fn perf_schema(&self) -> Self {
        let of = |counter: &Self| {
            let pair = matches!(counter, Self::Object(_));
            let (metric, value) = match counter {
                Self::Object(_) => ("gauge", "real-integer-pair"),
                Self::Float(_) => ("gauge", "real"),
                _ => ("gauge", "integer"),
            };
            Self::obj()
                .with("type", if pair { 5u8 } else { 2 })
                .with("metric_type", metric)
                .with("value_type", value)
                .with("description", "")
                .with("nick", "")
                .with("priority", 0u8)
                .with("units", "none")
        };
        let Self::Object(loggers) = self else { return Self::obj() };
        let schema = |logger: &Self| match logger {
            Self::Object(counters) => Self::Object(counters.iter().map(|(k, v)| (k.clone(), of(v))).collect()),
            _ => Self::obj(),
        };
        Self::Object(loggers.iter().map(|(k, v)| (k.clone(), schema(v))).collect())
    }

    /// The answer in one of Ceph's formats. `root` names the outermost element in XML.
    pub fn render(&self, format: Format, root: &str) -> String {
        let mut out = String::new();
        match format {
            Format::Json => self.json(&mut out),
            Format::JsonPretty => {
                self.json_pretty(&mut out, 0);
                out.push('\n');
            }
            Format::Xml => self.xml(&mut out, root),
            Format::XmlPretty => self.xml_pretty(&mut out, root, 0),
        }
        out
    }

    /// Compact JSON.
    pub fn to_json(&self) -> String {
        self.render(Format::Json, "")
    }

    /// JSON indented by four spaces, with a newline at the end.
    pub fn to_json_pretty(&self) -> String {
        self.render(Format::JsonPretty, "")
    }

    fn json(&self, out: &mut String) {
        match self {
            Self::Array(_, items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.json(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    json_string(out, key);
                    out.push(':');
                    value.json(out);
                }
                out.push('}');
            }
            Self::Str(s) => json_string(out, s),
            scalar => scalar.scalar(out),
        }
    }

    fn json_pretty(&self, out: &mut String, depth: usize) {
        match self {
            Self::Array(_, items) if !items.is_empty() => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { ",\n" } else { "\n" });
                    indent(out, depth + 1);
                    item.json_pretty(out, depth + 1);
                }
                out.push('\n');
                indent(out, depth);
                out.push(']');
            }
            Self::Object(fields) if !fields.is_empty() => {
                out.push('{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { ",\n" } else { "\n" });
                    indent(out, depth + 1);
                    json_string(out, key);
                    out.push_str(": ");
                    value.json_pretty(out, depth + 1);
                }
                out.push('\n');
                indent(out, depth);
                out.push('}');
            }
            flat => flat.json(out),
        }
    }

    fn xml(&self, out: &mut String, name: &str) {
        let name = xml_name(name);
        let _ = write!(out, "<{name}>");
        match self {
            Self::Array(item, items) => items.iter().for_each(|v| v.xml(out, item)),
            Self::Object(fields) => fields.iter().for_each(|(k, v)| v.xml(out, k)),
            Self::Str(s) => xml_text(out, s),
            scalar => scalar.scalar(out),
        }
        let _ = write!(out, "</{name}>");
    }

    fn xml_pretty(&self, out: &mut String, name: &str, depth: usize) {
        for _ in 0..depth {
            out.push('\t');
        }
        let tag = xml_name(name);
        let children: Vec<(&str, &Dump)> = match self {
            Self::Array(item, items) => items.iter().map(|v| (item.as_ref(), v)).collect(),
            Self::Object(fields) => fields.iter().map(|(k, v)| (k.as_ref(), v)).collect(),
            _ => {
                self.xml(out, name);
                out.push('\n');
                return;
            }
        };
        let _ = writeln!(out, "<{tag}>");
        for (name, child) in children {
            child.xml_pretty(out, name, depth + 1);
        }
        for _ in 0..depth {
            out.push('\t');
        }
        let _ = writeln!(out, "</{tag}>");
    }

    fn scalar(&self, out: &mut String) {
        let _ = match self {
            Self::Bool(v) => write!(out, "{v}"),
            Self::Int(v) => write!(out, "{v}"),
            Self::UInt(v) => write!(out, "{v}"),
            Self::Float(v) => {
                out.push_str(&general_float(*v, 17));
                Ok(())
            }
            Self::Str(s) => write!(out, "{s}"),
            Self::Array(..) | Self::Object(_) => Ok(()),
        };
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("    ");
    }
}

fn json_string(out: &mut String, s: &str) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn xml_text(out: &mut String, s: &str) {
    for c in s.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            c if (c as u32) < 0x20 && c != '\n' && c != '\t' || c as u32 == 0x7f => {
                let _ = write!(out, "&#x{:02x};", c as u32);
            }
            c => out.push(c),
        }
    }
}

/// Element names cannot hold spaces; Ceph puts underscores.
fn xml_name(name: &str) -> Cow<'_, str> {
    if name.contains(' ') { Cow::Owned(name.replace(' ', "_")) } else { Cow::Borrowed(name) }
}

/// A float as C prints it with `%.{digits}g`, which is what Ceph's formatters do.
pub fn general_float(v: f64, digits: usize) -> String {
    if !v.is_finite() {
        return if v.is_nan() {
            "nan"
        } else if v > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    if v == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{v:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} always writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes a number after the e");
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => s.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    trim(&format!("{v:.*}", (digits as i32 - 1 - exponent).max(0) as usize))
}

macro_rules! from {
    ($($t:ty => $variant:ident as $to:ty),* $(,)?) => {$(
        impl From<$t> for Dump {
            fn from(v: $t) -> Self {
                Self::$variant(v as $to)
            }
        }
    )*};
}

from!(u8 => UInt as u64, u16 => UInt as u64, u32 => UInt as u64, u64 => UInt as u64, usize => UInt as u64,
      i8 => Int as i64, i16 => Int as i64, i32 => Int as i64, i64 => Int as i64, f32 => Float as f64, f64 => Float as f64);

impl From<bool> for Dump {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}

impl From<&str> for Dump {
    fn from(v: &str) -> Self {
        Self::Str(v.to_owned())
    }
}

impl From<String> for Dump {
    fn from(v: String) -> Self {
        Self::Str(v)
    }
}

impl From<&String> for Dump {
    fn from(v: &String) -> Self {
        Self::Str(v.clone())
    }
}

macro_rules! from_display {
    ($($t:ty),* $(,)?) => {$(
        impl From<$t> for Dump {
            fn from(v: $t) -> Self {
                Self::text(v)
            }
        }
    )*};
}

from_display!(crate::UTime, crate::EVersion, crate::PgId, crate::SpgId, crate::Uuid, crate::EntityName, &denc::ByteStr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_cephs_formatter_prints_them() {
        for (v, s) in [
            (4.743_258_158_365_886, "4.7432581583658857"),
            (0.005889892578125, "0.005889892578125"),
            (1.0, "1"),
            (0.0, "0"),
            (1e20, "1e+20"),
            (0.1, "0.10000000000000001"),
            (1.5e-7, "1.4999999999999999e-07"),
        ] {
            assert_eq!(general_float(v, 17), s);
        }
    }

    #[test]
    fn one_tree_renders_in_every_format() {
        let d = Dump::obj().with("a b", 1u8).with("list", Dump::arr("rank", [0u8, 1])).with("s", "x<\"");
        assert_eq!(d.to_json(), r#"{"a b":1,"list":[0,1],"s":"x<\""}"#);
        assert_eq!(
            d.render(Format::Xml, "r"),
            "<r><a_b>1</a_b><list><rank>0</rank><rank>1</rank></list><s>x&lt;&quot;</s></r>"
        );
        assert_eq!(Dump::obj().with("e", Dump::obj()).to_json_pretty(), "{\n    \"e\": {}\n}\n");
    }
}
