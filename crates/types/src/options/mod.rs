//! Ceph's options: which there are, what values they take, and the values in force.
//!
//! The table is data (`data/options.tsv`): names, types and defaults of release 16.2.15, so that any
//! option that an operator knows is accepted and checked. One default is ours: `osd_scrub_auto_repair` is on.
//! What those do that anything here heeds says `data/option_notes.tsv`. Cores read values through [`Config`] when
//! they start and when it changes, and keep what a hot path needs.

pub mod told;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use crate::dump::Dump;

/// The type of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    Str,
    Int,
    UInt,
    Float,
    Bool,
    Addr,
    AddrVec,
    Uuid,
    /// Bytes, with `K`, `M`, `G`, `T` accepted.
    Size,
    Secs,
    Millisecs,
}

impl OptionKind {
    fn parse(s: &str) -> Self {
        match s {
            "int" => Self::Int,
            "uint" => Self::UInt,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "addr" => Self::Addr,
            "addrvec" => Self::AddrVec,
            "uuid" => Self::Uuid,
            "size" => Self::Size,
            "secs" => Self::Secs,
            "millisecs" => Self::Millisecs,
            _ => Self::Str,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::UInt => "uint",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Addr => "addr",
            Self::AddrVec => "addrvec",
            Self::Uuid => "uuid",
            Self::Size => "size",
            Self::Secs => "secs",
            Self::Millisecs => "millisecs",
        }
    }
}

/// One option, as release 16.2.15 has it.
#[derive(Debug, Clone)]
pub struct OptionDef {
    pub name: &'static str,
    pub kind: OptionKind,
    /// `basic`, `advanced` or `dev`.
    pub level: &'static str,
    pub default: &'static str,
    /// Where daemons differ from clients; empty if they do not.
    pub daemon_default: &'static str,
    pub min: &'static str,
    pub max: &'static str,
    pub runtime: bool,
    pub services: Vec<&'static str>,
    pub flags: Vec<&'static str>,
    pub allowed: Vec<&'static str>,
    pub see_also: Vec<&'static str>,
    pub tags: Vec<&'static str>,
}

static TABLE: LazyLock<BTreeMap<&'static str, OptionDef>> = LazyLock::new(|| {
    include_str!("../../data/options.tsv").lines().filter(|l| !l.starts_with('#')).map(parse_row).collect()
});

fn parse_row(line: &'static str) -> (&'static str, OptionDef) {
    let f: Vec<&'static str> = line.split('\t').collect();
    let list = |s: &'static str| s.split(',').filter(|s| !s.is_empty()).collect();
    let kind = OptionKind::parse(f[1]);
    // Once for each such option of the table.
    let canonical = |text: &'static str| match text.parse::<f64>() {
        Ok(v) if kind == OptionKind::Float => &*float(v).leak(),
        _ => text,
    };
    let def = OptionDef {
        name: f[0],
        kind,
        level: f[2],
        default: canonical(f[3]),
        daemon_default: canonical(f[4]),
        min: f[5],
        max: f[6],
        runtime: f[7] == "1",
        services: list(f[8]),
        flags: list(f[9]),
        allowed: list(f[10]),
        see_also: list(f[11]),
        tags: list(f[12]),
    };
    (f[0], def)
}

/// As Ceph keeps and shows it.
fn float(v: f64) -> String {
    format!("{v:.6}")
}

static NOTES: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let rows = include_str!("../../data/option_notes.tsv").lines().filter(|l| !l.starts_with('#'));
    rows.filter_map(|l| l.split_once('\t')).collect()
});

/// All options in order of their names.
pub fn all() -> impl Iterator<Item = &'static OptionDef> {
    TABLE.values()
}

impl OptionDef {
    /// As `config help` prints it; descriptions are our own.
    pub fn dump(&self) -> Dump {
        let list = |items: &[&'static str]| Dump::arr("item", items.iter().copied());
        let daemon = match self.daemon_default {
            "" => Dump::from(""),
            text => self.typed(text),
        };
        let d = Dump::obj()
            .with("name", self.name)
            .with("type", self.kind.as_str())
            .with("level", self.level)
            .with("desc", self.note())
            .with("long_desc", "")
            .with("default", self.typed(self.default))
            .with("daemon_default", daemon)
            .with("tags", list(&self.tags))
            .with("services", list(&self.services))
            .with("see_also", list(&self.see_also));
        let d = if self.kind == OptionKind::Str { d.with("enum_values", list(&self.allowed)) } else { d };
        d.with("min", self.min)
            .with("max", self.max)
            .with("can_update_at_runtime", self.runtime)
            .with("flags", list(&self.flags))
    }

    fn typed(&self, text: &str) -> Dump {
        match self.kind {
            OptionKind::Int => text.parse::<i64>().map_or_else(|_| text.into(), Dump::from),
            OptionKind::UInt => text.parse::<u64>().map_or_else(|_| text.into(), Dump::from),
            OptionKind::Float => text.parse::<f64>().map_or_else(|_| text.into(), Dump::from),
            OptionKind::Bool => Dump::from(text == "true"),
            _ => text.into(),
        }
    }
}

/// Finds an option; dashes and spaces in the name count as underscores.
pub fn find(name: &str) -> Option<&'static OptionDef> {
    match TABLE.get(name) {
        Some(def) => Some(def),
        None => TABLE.get(normal_name(name).as_str()),
    }
}

/// A name as the table spells it.
pub fn normal_name(name: &str) -> String {
    name.trim().replace(['-', ' '], "_")
}

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    #[error("unrecognized config option '{0}'")]
    Unknown(String),
    #[error("{name}: '{value}' is not {wanted}")]
    BadValue { name: String, value: String, wanted: String },
    #[error("{name}: '{value}' is not {wanted}")]
    OutOfRange { name: String, value: String, wanted: String },
}

impl SetError {
    /// As Ceph answers a command.
    pub fn errno(&self) -> i32 {
        match self {
            Self::OutOfRange { .. } => crate::errno::ERANGE,
            _ => crate::errno::EINVAL,
        }
    }
}

impl OptionDef {
    /// Whether it is a level of logging of one of Ceph's subsystems. Daemons accept them all.
    pub fn is_debug_level(&self) -> bool {
        self.kind == OptionKind::Str && self.name.starts_with("debug_")
    }

    /// What it does, in one line; empty if nothing here heeds it.
    pub fn note(&self) -> &'static str {
        match NOTES.get(self.name) {
            None if self.is_debug_level() => {
                "How much is logged, and how much is kept in memory for `log dump`: N or N/M, from 0 to 99."
            }
            note => note.copied().unwrap_or_default(),
        }
    }

    /// Checks a value and gives it in canonical form.
    ///
    /// # Errors
    /// [`SetError::BadValue`] with what would be right.
    pub fn check(&self, value: &str) -> Result<String, SetError> {
        let (name, given) = (self.name, value);
        let bad = |wanted: &str| SetError::BadValue { name: name.into(), value: given.into(), wanted: wanted.into() };
        if !self.allowed.is_empty() && !self.allowed.contains(&value) {
            return Err(bad(&format!("one of {}", self.allowed.join(", "))));
        }
        let canonical = match self.kind {
            OptionKind::Str if self.is_debug_level() => value::debug_level(value).map_err(|out_of_range| {
                let (name, value) = (name.to_owned(), given.to_owned());
                if out_of_range {
                    return SetError::OutOfRange { name, value, wanted: "from 0 to 99".to_owned() };
                }
                bad("of the form N or N/M, where N and M are integers")
            })?,
            OptionKind::Str | OptionKind::Addr | OptionKind::AddrVec => value.to_owned(),
            OptionKind::Int => {
                let n = value::whole(value).and_then(|n| i64::try_from(n).ok());
                n.ok_or_else(|| bad("a whole number such as 10 or 10K"))?.to_string()
            }
            OptionKind::UInt => {
                let n = value::whole(value).and_then(|n| u64::try_from(n).ok());
                n.ok_or_else(|| bad("a whole number from 0, such as 10 or 10K"))?.to_string()
            }
            OptionKind::Size => value::size(value).ok_or_else(|| bad("a size such as 4096 or 10G"))?.to_string(),
            // Unlike Ceph, infinity and what is no number are no numbers.
            OptionKind::Float => {
                let v = value.trim_start().parse::<f64>().ok().filter(|v| v.is_finite());
                v.map(float).ok_or_else(|| bad("a number"))?
            }
            OptionKind::Bool => value::boolean(value).ok_or_else(|| bad("true or false"))?.to_string(),
            OptionKind::Uuid => {
                value.parse::<crate::Uuid>().map_err(|_| bad("a UUID"))?;
                value.to_owned()
            }
            OptionKind::Secs => {
                value::timespan(value).ok_or_else(|| bad("a duration such as 90 or 1h 30m"))?.to_string()
            }
            OptionKind::Millisecs => value.parse::<u64>().map_err(|_| bad("a number of milliseconds"))?.to_string(),
        };
        let limit = |s: &str| s.parse::<f64>().ok();
        if let Ok(v) = canonical.parse::<f64>() {
            if let Some(min) = limit(self.min).filter(|min| v < *min) {
                return Err(bad(&format!("at least {min}")));
            }
            if let Some(max) = limit(self.max).filter(|max| v > *max && *max > 0.0) {
                return Err(bad(&format!("at most {max}")));
            }
        }
        Ok(canonical)
    }

    /// The value when nobody set one.
    pub fn default_for(&self, daemon: bool) -> &'static str {
        if daemon && !self.daemon_default.is_empty() { self.daemon_default } else { self.default }
    }
}

/// A number with an optional binary suffix: `4096`, `4K`, `10G`, `1Ti`, `512B`, `4_K`.
pub fn parse_size(s: &str) -> Option<u64> {
    let s = s.replace('_', "");
    let digits = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let number: u64 = s[..digits].parse().ok()?;
    let shift = match s[digits..].trim().trim_end_matches(['B', 'b']).trim_end_matches('i') {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        "P" | "p" => 50,
        "E" | "e" => 60,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// Where a value came from; a later one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The configuration kept by the monitors.
    Mon,
    /// `ceph.conf`.
    File,
    /// The command line.
    Cmdline,
    /// Set while running (`ceph tell`, admin socket).
    Override,
}

impl Source {
    /// As `config show` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::File => "file",
            Self::Cmdline => "cmdline",
            Self::Override => "override",
        }
    }
}

/// The options in force for one daemon or client.
#[derive(Debug, Clone, Default)]
pub struct Config {
    daemon: bool,
    set: BTreeMap<&'static str, BTreeMap<Source, String>>,
}

impl Config {
    pub fn daemon() -> Self {
        Self { daemon: true, ..Self::default() }
    }

    pub fn client() -> Self {
        Self::default()
    }

    /// Sets a value at one source.
    ///
    /// # Errors
    /// If there is no such option or the value does not fit it; nothing is changed then.
    pub fn set(&mut self, name: &str, value: &str, source: Source) -> Result<(), SetError> {
        let def = find(name).ok_or_else(|| SetError::Unknown(name.to_owned()))?;
        let value = def.check(value)?;
        self.set.entry(def.name).or_default().insert(source, value);
        Ok(())
    }

    pub fn unset(&mut self, name: &str, source: Source) {
        let Some(def) = find(name) else { return };
        if let Some(values) = self.set.get_mut(def.name) {
            values.remove(&source);
            if values.is_empty() {
                self.set.remove(def.name);
            }
        }
    }

    /// Replaces everything that came from `source`; names and values that are not valid are given
    /// back.
    pub fn replace<'a>(
        &mut self,
        source: Source,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<SetError> {
        self.set.retain(|_, by_source| {
            by_source.remove(&source);
            !by_source.is_empty()
        });
        values.into_iter().filter_map(|(name, value)| self.set(name, value, source).err()).collect()
    }

    /// The value in force, as text; `None` if there is no such option.
    pub fn get(&self, name: &str) -> Option<&str> {
        let def = find(name)?;
        Some(match self.set.get(def.name).and_then(|by_source| by_source.last_key_value()) {
            Some((_, value)) => value,
            None => def.default_for(self.daemon),
        })
    }

    /// What differs from the defaults: name, value, source; and what it overrides.
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, &BTreeMap<Source, String>)> {
        self.set.iter().map(|(name, by_source)| (*name, by_source))
    }

    fn known(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("the code asks for option '{name}', which is not in the table"))
    }

    /// # Panics
    /// These getters panic if the *code* asks for an option that does not exist or has another type.
    pub fn str(&self, name: &str) -> &str {
        self.known(name)
    }

    pub fn i64(&self, name: &str) -> i64 {
        self.whole(name).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// What is below 0 counts as 0: an option of type `int` may be set so.
    pub fn u64(&self, name: &str) -> u64 {
        self.whole(name).clamp(0, u64::MAX.into()) as u64
    }

    fn whole(&self, name: &str) -> i128 {
        self.known(name).parse().unwrap_or_else(|_| panic!("option '{name}' is not a whole number"))
    }

    pub fn f64(&self, name: &str) -> f64 {
        self.known(name).parse().unwrap_or_else(|_| panic!("option '{name}' is not a number"))
    }

    pub fn bool(&self, name: &str) -> bool {
        value::boolean(self.known(name)).unwrap_or_else(|| panic!("option '{name}' is not true or false"))
    }

    /// An option in seconds (whole or not).
    pub fn secs(&self, name: &str) -> Duration {
        Duration::try_from_secs_f64(self.f64(name).max(0.0)).unwrap_or(Duration::MAX)
    }

    /// The two numbers of a level of logging: what is logged, and what is kept in memory.
    pub fn debug_level(&self, name: &str) -> (u8, u8) {
        let (log, keep) = self.known(name).split_once('/').unwrap_or_else(|| panic!("option '{name}' is no level"));
        let level = |text: &str| text.parse().unwrap_or_else(|_| panic!("option '{name}' is no level"));
        (level(log), level(keep))
    }

    /// An option in milliseconds.
    pub fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.u64(name))
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, _) in self.changed() {
            writeln!(f, "{name} = {}", self.known(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_in_the_table_fits_its_own_option() {
        let mut wrong = Vec::new();
        for def in all() {
            for default in [def.default, def.daemon_default] {
                // Blank stands for "none". One option has -10 for a minimum although it is unsigned.
                if !default.is_empty()
                    && def.name != "rgw_rados_pool_recovery_priority"
                    && def.allowed.is_empty()
                    && def.check(default).is_err()
                {
                    wrong.push((def.name, default));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn each_note_is_about_an_option() {
        let unknown: Vec<_> = NOTES.keys().filter(|name| find(name).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(find("debug_osd").is_some_and(|def| !def.note().is_empty()));
    }

    #[test]
    fn a_number_below_zero_counts_as_zero_where_none_is_wanted() {
        let mut c = Config::daemon();
        c.set("mon_osd_down_out_interval", "-1", Source::Mon).unwrap();
        assert_eq!((c.u64("mon_osd_down_out_interval"), c.i64("mon_osd_down_out_interval")), (0, -1));
    }

    #[test]
    fn a_later_source_wins_and_gives_way_again() {
        let mut c = Config::daemon();
        assert_eq!(c.u64("osd_heartbeat_grace"), 20);
        c.set("osd heartbeat-grace", "6", Source::Mon).unwrap();
        c.set("osd_heartbeat_grace", "9", Source::Override).unwrap();
        assert_eq!(c.u64("osd_heartbeat_grace"), 9);
        c.unset("osd_heartbeat_grace", Source::Override);
        assert_eq!(c.secs("osd_heartbeat_grace"), Duration::from_secs(6));
    }

    #[test]
    fn unknown_names_and_unfit_values_are_refused_with_the_reason() {
        let mut c = Config::daemon();
        assert_eq!(c.set("osd_colour", "red", Source::Mon), Err(SetError::Unknown("osd_colour".into())));
        let e = c.set("osd_heartbeat_grace", "soon", Source::Mon).unwrap_err();
        assert_eq!(e.to_string(), "osd_heartbeat_grace: 'soon' is not a whole number such as 10 or 10K");
        assert_eq!(c.set("osd_max_object_size", "1G", Source::Mon), Ok(()));
        assert_eq!(c.u64("osd_max_object_size"), 1 << 30);
    }
}
