//! `ceph.conf`: sections, inheritance, and the spelling rules that Ceph has for them.
//!
//! Names are equal under space, dash and underscore; `#` and `;` begin comments; a line that ends in a
//! backslash goes on. A daemon reads `[global]`, then its kind (`[osd]`), then itself (`[osd.3]`).

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};

/// A parsed `ceph.conf`, sections in order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Conf {
    /// # Errors
    /// Names the line that is neither a section, nor `name = value`, nor a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let mut conf = Self::default();
        let mut section = "global".to_owned();
        let mut held = String::new();
        for (at, line) in text.lines().enumerate() {
            if let Some(part) = line.strip_suffix('\\') {
                held.push_str(part);
                continue;
            }
            held.push_str(line);
            let whole = std::mem::take(&mut held);
            let line = whole.split(['#', ';']).next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.trim().to_owned();
            } else if let Some((name, value)) = line.split_once('=') {
                conf.set(&section, name, value.trim().trim_matches('"'));
            } else {
                bail!("line {}: '{line}' is neither [section] nor name = value", at + 1);
            }
        }
        Ok(conf)
    }

    /// # Errors
    /// If the file cannot be read or parsed.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("cannot parse {}", path.display()))
    }

    pub fn set(&mut self, section: &str, name: &str, value: &str) {
        let section = self.sections.entry(section.to_owned()).or_default();
        section.insert(types::options::normal_name(name), value.to_owned());
    }

    /// What `who` (`osd.3`, `client.admin`) reads: later sections win.
    pub fn values_for(&self, who: &str) -> BTreeMap<&str, &str> {
        let kind = who.split('.').next().unwrap_or(who);
        let mut values = BTreeMap::new();
        for section in ["global", kind, who] {
            if let Some(found) = self.sections.get(section) {
                values.extend(found.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            }
        }
        values
    }

    pub fn get(&self, who: &str, name: &str) -> Option<&str> {
        self.values_for(who).get(types::options::normal_name(name).as_str()).copied()
    }

    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // [global] first: people look there.
        let global = self.sections.get_key_value("global");
        for (name, values) in global.into_iter().chain(self.sections.iter().filter(|(n, _)| *n != "global")) {
            let _ = writeln!(out, "[{name}]");
            for (key, value) in values {
                let _ = writeln!(out, "{key} = {value}");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_reads_global_then_its_kind_then_itself() {
        let conf = Conf::parse(
            "a b = 1 ; comment\n[osd]\na-b=2\nlong = x\\\ny\n[osd.3]\n# nothing\na_b = \"3\"\n[client]\nadmin_socket =\n",
        )
        .unwrap();
        assert_eq!(conf.get("mon.a", "a_b"), Some("1"));
        assert_eq!(conf.get("osd.1", "a b"), Some("2"));
        assert_eq!(conf.get("osd.3", "a_b"), Some("3"));
        assert_eq!(conf.get("osd.3", "long"), Some("xy"));
        assert_eq!(conf.get("client.admin", "admin_socket"), Some(""));
        assert_eq!(Conf::parse(&conf.to_text()).unwrap(), conf);
    }

    #[test]
    fn a_line_that_is_nothing_is_named() {
        let e = Conf::parse("[global]\nfsid\n").unwrap_err();
        assert_eq!(e.to_string(), "line 2: 'fsid' is neither [section] nor name = value");
    }
}
