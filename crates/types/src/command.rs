//! Commands as data: what a daemon offers (for `get_command_descriptions`), and what a client asked.
//!
//! A signature is Ceph's: words, then arguments as `name=pool,type=CephPoolname,req=false`. From it
//! come the description that the `ceph` program parses its command line with, and the checks here.

use serde_json::Value;

use crate::dump::Dump;

pub const FLAG_NOFORWARD: u32 = 1;
pub const FLAG_OBSOLETE: u32 = 2;
pub const FLAG_DEPRECATED: u32 = 4;
/// The manager answers it.
pub const FLAG_MGR: u32 = 8;
pub const FLAG_POLL: u32 = 16;
pub const FLAG_HIDDEN: u32 = 32;
/// Only by `ceph tell`, to this very daemon.
pub const FLAG_TELL: u32 = FLAG_NOFORWARD | FLAG_HIDDEN;

const EINVAL: i32 = 22;

/// One command that a daemon offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    pub sig: &'static str,
    pub help: &'static str,
    pub module: &'static str,
    /// `r`, `rw`, `rwx`: the capability that it needs; one with `w` changes state.
    pub perm: &'static str,
    pub flags: u32,
}

/// One argument of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgSpec {
    /// As `name=pool` and the like, in order of the keys.
    pub fields: Vec<(&'static str, &'static str)>,
}

impl ArgSpec {
    fn parse(text: &'static str) -> Self {
        let mut fields: Vec<_> = text.split(',').filter_map(|f| f.split_once('=')).collect();
        fields.sort_unstable();
        Self { fields }
    }

    pub fn field(&self, key: &str) -> Option<&'static str> {
        self.fields.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    pub fn name(&self) -> &'static str {
        self.field("name").unwrap_or_default()
    }

    pub fn is_required(&self) -> bool {
        self.field("req").is_none_or(|r| r.eq_ignore_ascii_case("true"))
    }
}

impl Command {
    /// The words, as in `osd pool create`.
    pub fn prefix(&self) -> String {
        let words: Vec<_> = self.sig.split_whitespace().filter(|w| !w.contains('=')).collect();
        words.join(" ")
    }

    pub fn is_named(&self, prefix: &str) -> bool {
        self.sig.split_whitespace().filter(|w| !w.contains('=')).eq(prefix.split_whitespace())
    }

    pub fn args(&self) -> impl Iterator<Item = ArgSpec> {
        self.sig.split_whitespace().filter(|w| w.contains('=')).map(ArgSpec::parse)
    }

    pub fn writes(&self) -> bool {
        self.perm.contains('w')
    }

    fn describe(&self) -> Dump {
        let sig = self.sig.split_whitespace().map(|word| {
            if !word.contains('=') {
                return Dump::from(word);
            }
            let fields = ArgSpec::parse(word).fields;
            Dump::Object(fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
        });
        Dump::obj()
            .with("sig", Dump::arr("sig", sig))
            .with("help", self.help)
            .with("module", self.module)
            .with("perm", self.perm)
            .with("flags", self.flags)
    }

    /// What a daemon says of a command that it answers itself: neither permissions nor a module.
    fn describe_own(&self) -> Dump {
        let Dump::Object(fields) = self.describe() else { return Dump::obj() };
        Dump::Object(fields.into_iter().filter(|(key, _)| key == "sig" || key == "help").collect())
    }

    /// Whether `args` can be this command's: what is required is there, and of its kind.
    ///
    /// # Errors
    /// The errno and the sentence to answer with.
    pub fn check(&self, args: &Args) -> Result<(), (i32, String)> {
        for spec in self.args() {
            let name = spec.name();
            let Some(value) = args.get(name) else {
                if spec.is_required() {
                    return Err((EINVAL, format!("missing required parameter {name}")));
                }
                continue;
            };
            let many = |text: &String| text.parse().is_ok_and(|v: f64| in_range(&spec, v));
            let fits = match spec.field("type") {
                Some("CephInt" | "CephFloat") if spec.field("n").is_some() => args.list(name).iter().all(many),
                Some("CephInt") => args.i64(name).is_some_and(|v| in_range(&spec, v as f64)),
                Some("CephFloat") => args.f64(name).is_some_and(|v| in_range(&spec, v)),
                Some("CephChoices") if spec.field("n").is_none() => {
                    let choices = spec.field("strings").unwrap_or_default();
                    value.as_str().is_none_or(|v| choices.split('|').any(|c| c == v || c.trim_start_matches('-') == v))
                }
                _ => true,
            };
            if !fits {
                return Err((EINVAL, format!("{} is not a value for {name}", plain(value))));
            }
        }
        Ok(())
    }
}

fn in_range(spec: &ArgSpec, v: f64) -> bool {
    let Some(range) = spec.field("range") else { return true };
    let (min, max) = range.split_once('|').unwrap_or((range, ""));
    min.parse().is_ok_and(|min: f64| v >= min) && max.parse().map_or(max.is_empty(), |max: f64| v <= max)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answer to `get_command_descriptions`.
pub fn descriptions<'a>(commands: impl IntoIterator<Item = &'a Command>) -> Dump {
    let mut all = Dump::obj();
    for (i, c) in commands.into_iter().enumerate() {
        all.put(format!("cmd{i:03}"), c.describe());
    }
    all
}

/// The same of a daemon that is told, or asked over its admin socket (Ceph: `GetdescsHook`).
pub fn own_descriptions<'a>(commands: impl IntoIterator<Item = &'a Command>) -> Dump {
    let mut all = Dump::obj();
    for (i, c) in commands.into_iter().enumerate() {
        all.put(format!("cmd{i:03}"), c.describe_own());
    }
    all
}

/// Each command with its help, by name (Ceph: `HelpHook`).
pub fn help<'a>(commands: impl IntoIterator<Item = &'a Command>) -> Dump {
    let mut all: Vec<_> = commands.into_iter().map(|c| (c.prefix(), c.help)).collect();
    all.sort_unstable();
    all.dedup_by(|a, b| a.0 == b.0);
    Dump::Object(all.into_iter().map(|(prefix, help)| (prefix.into(), help.into())).collect())
}

/// The outermost element, in XML, of what a daemon answers to a tell: most are named after the command.
pub fn told_root(prefix: &str) -> String {
    match prefix {
        "dump_ops_in_flight" | "ops" | "dump_blocked_ops" => "ops_in_flight",
        "dump_historic_ops" | "dump_historic_ops_by_duration" => "op_history",
        "dump_historic_slow_ops" => "OpHistory_slow_ops",
        "dump_mempools" => "mempools",
        "dump_osd_network" => "network_ping_times",
        "dump_recovery_reservations" => "reservations",
        "dump_blocklist"
        | "dump_scrubs"
        | "dump_scrub_reservations"
        | "dump_watchers"
        | "dump_pg_recovery_stats"
        | "dump_pgstate_history" => &prefix["dump_".len()..],
        "get_command_descriptions" => "command_descriptions",
        "get_mapped_pools" => "mapped_pools",
        "git_version" => "version",
        "perf dump" | "perf schema" | "perf histogram dump" | "perf histogram schema" => "perfcounter_collection",
        "query" => "pg",
        named => return named.replace(' ', "_"),
    }
    .to_owned()
}

/// What a client asked: the JSON object of a command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args {
    map: serde_json::Map<String, Value>,
}

impl Args {
    /// Reads a command, whose strings are joined as Ceph does.
    ///
    /// # Errors
    /// If it is no JSON object, in Ceph's words.
    pub fn parse(cmd: &[String]) -> Result<Self, String> {
        let text = cmd.concat();
        match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(map)) => Ok(Self { map }),
            Ok(_) => Err("not JSON object ".to_owned() + &text),
            Err(_) => Err("unparseable JSON ".to_owned() + &text),
        }
    }

    pub fn prefix(&self) -> &str {
        self.str("prefix").unwrap_or_default()
    }

    /// `plain` unless `format` says otherwise.
    pub fn format(&self) -> &str {
        self.str("format").unwrap_or("plain")
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// All names and values.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.map.iter()
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.map.insert(name.to_owned(), value.into());
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A string, or a number as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(plain)
    }

    pub fn i64(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            // What does not fit is no number, rather than the largest.
            Value::Number(n) => {
                let whole = |f: &f64| f.fract() == 0.0 && f.abs() < 9.0e18;
                n.as_i64().or_else(|| n.as_f64().filter(whole).map(|f| f as i64))
            }
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        }
    }

    pub fn f64(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        }
    }

    /// A flag: `true`, or the option's own name as older clients send it.
    pub fn flag(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(b)) => *b,
            Some(Value::String(s)) => {
                s == "true" || s.trim_start_matches('-').replace('-', "_") == name.trim_start_matches('-')
            }
            _ => false,
        }
    }

    /// The values of a repeated argument; a single one counts as well.
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::Array(all)) => all.iter().map(plain).collect(),
            Some(one) => vec![plain(one)],
            None => vec![],
        }
    }

    /// Name and value of everything, for the audit log.
    pub fn to_json(&self) -> String {
        Value::Object(self.map.clone()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: Command = Command {
        sig: "osd pool create name=pool,type=CephPoolname name=pg_num,type=CephInt,range=0,req=false",
        help: "make a pool",
        module: "osd",
        perm: "rw",
        flags: 0,
    };

    #[test]
    fn a_command_describes_itself_as_the_ceph_program_reads_it() {
        assert_eq!(
            descriptions([&CREATE]).to_json(),
            concat!(
                r#"{"cmd000":{"sig":["osd","pool","create",{"name":"pool","type":"CephPoolname"},"#,
                r#"{"name":"pg_num","range":"0","req":"false","type":"CephInt"}],"#,
                r#""help":"make a pool","module":"osd","perm":"rw","flags":0}}"#
            )
        );
    }

    #[test]
    fn a_command_is_a_json_object() {
        let refused = |text: &str| Args::parse(&[text.to_owned()]).unwrap_err();
        assert_eq!(refused("get_command_descriptions"), "unparseable JSON get_command_descriptions");
        assert_eq!(refused(""), "unparseable JSON ");
        assert_eq!(refused("\"x\""), "not JSON object \"x\"");
        assert_eq!(refused("[]"), "not JSON object []");
    }

    #[test]
    fn arguments_are_checked_against_the_signature() {
        let args = |json: &str| Args::parse(&[json.to_owned()]).unwrap();
        assert!(CREATE.is_named("osd pool create"));
        assert_eq!(CREATE.check(&args(r#"{"pool":"a","pg_num":"8"}"#)), Ok(()));
        assert!(CREATE.check(&args(r#"{"pool":"a","pg_num":-1}"#)).is_err());
        assert!(CREATE.check(&args(r#"{"pg_num":1}"#)).is_err());
        assert!(args(r#"{"yes_i_really_mean_it":"--yes-i-really-mean-it"}"#).flag("yes_i_really_mean_it"));
    }
}
