//! The settings that the monitors keep: who they are for, and what is in force for one daemon.
//!
//! A target is a section and perhaps masks: `global`, `osd`, `osd.3`, `client.admin`, `osd/class:ssd`,
//! `osd/rack:r1/class:ssd`. A more exact one wins: section first, then place, then class.

use std::collections::BTreeMap;

const KINDS: [&str; 6] = ["mon", "mgr", "osd", "mds", "client", "auth"];

/// Whom a setting is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// `global`, a kind of daemon, or one of them.
    pub section: String,
    /// A CRUSH type (or `host`) and the name of such a place.
    pub location: Option<(String, String)>,
    pub device_class: Option<String>,
}

impl Target {
    /// Reads a target as `config set` takes it. `None` if it names nothing that could be.
    pub fn parse(who: &str) -> Option<Self> {
        let mut target = Self::default();
        for part in who.split('/') {
            match part.split_once(':') {
                Some(("class", class)) => target.device_class = Some(class.to_owned()).filter(|c| !c.is_empty()),
                Some((kind, name)) => target.location = Some((kind.to_owned(), name.to_owned())),
                None if target.section.is_empty() => target.section = part.to_owned(),
                None => return None,
            }
        }
        if target.section.is_empty() {
            target.section = "global".to_owned();
        }
        let (kind, id) = target.section.split_once('.').map_or((target.section.as_str(), None), |(k, i)| (k, Some(i)));
        let known = KINDS.contains(&kind) && id != Some("") || kind == "global" && id.is_none();
        known.then_some(target)
    }

    /// The masks, as they stand behind the section.
    pub fn mask(&self) -> String {
        let mut parts = vec![];
        if let Some((kind, name)) = &self.location {
            parts.push(format!("{kind}:{name}"));
        }
        if let Some(class) = &self.device_class {
            parts.push(format!("class:{class}"));
        }
        parts.join("/")
    }

    fn fits(&self, who: &Who) -> bool {
        let place = self
            .location
            .as_ref()
            .is_none_or(|(kind, name)| who.location.get(kind) == Some(name) || kind == "host" && who.host == *name);
        place && self.device_class.as_ref().is_none_or(|c| who.device_class.as_deref() == Some(c))
    }

    /// How exact the masks are.
    fn rank(&self) -> (bool, bool) {
        (self.location.is_some(), self.device_class.is_some())
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mask = self.mask();
        if mask.is_empty() { f.write_str(&self.section) } else { write!(f, "{}/{mask}", self.section) }
    }
}

/// A daemon or client that asks what is in force for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// `osd.3`, `client.admin`.
    pub entity: String,
    pub host: String,
    pub device_class: Option<String>,
    /// Where it stands in the CRUSH map: type and name.
    pub location: BTreeMap<String, String>,
}

/// The key under which a setting is kept.
pub fn key(target: &Target, option: &str) -> String {
    format!("{target}/{option}")
}

/// Reads such a key back; options may hold slashes (`mgr/MODULE/OPTION`).
pub fn parse_key(key: &str) -> Option<(Target, String)> {
    let mut who_len = 0;
    for (i, part) in key.split('/').enumerate() {
        if i > 0 && !part.contains(':') {
            break;
        }
        who_len += part.len() + 1;
    }
    let option = key.get(who_len..)?;
    Some((Target::parse(key.get(..who_len - 1)?)?, option.to_owned()))
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub target: Target,
    pub option: String,
    pub value: String,
}

/// The settings in force for `who`, by option: of all that fit, the most exact.
pub fn effective<'a>(settings: impl IntoIterator<Item = &'a Setting>, who: &Who) -> BTreeMap<String, &'a Setting> {
    let kind = who.entity.split('.').next().unwrap_or_default();
    let mut best: BTreeMap<String, ((usize, bool, bool), &Setting)> = BTreeMap::new();
    for s in settings {
        let depth = match s.target.section.as_str() {
            "global" => 0,
            section if section == kind => 1,
            section if section == who.entity => usize::MAX,
            // `client.rgw` is for `client.rgw.host.a` as well; the longer it is, the more exact.
            section if who.entity.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')) => section.len(),
            _ => continue,
        };
        if !s.target.fits(who) {
            continue;
        }
        let (place, class) = s.target.rank();
        let rank = (depth, place, class);
        if best.get(&s.option).is_none_or(|(r, _)| *r <= rank) {
            best.insert(s.option.clone(), (rank, s));
        }
    }
    best.into_iter().map(|(option, (_, s))| (option, s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(who: &str, option: &str, value: &str) -> Setting {
        Setting { target: Target::parse(who).unwrap(), option: option.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn the_most_exact_setting_wins() {
        let all = [
            setting("osd.3", "a", "one"),
            setting("global", "a", "all"),
            setting("osd", "a", "kind"),
            setting("osd/class:ssd", "b", "ssd"),
            setting("osd", "b", "any"),
            setting("mon", "c", "not ours"),
            setting("osd/host:x", "d", "elsewhere"),
        ];
        let who = Who { entity: "osd.3".into(), device_class: Some("ssd".into()), ..Who::default() };
        let got: Vec<_> = effective(&all, &who).into_values().map(|s| s.value.as_str()).collect();
        assert_eq!(got, ["one", "ssd"]);
    }

    #[test]
    fn keys_come_back_with_masks_and_slashes() {
        for (who, option) in [("global", "x"), ("mgr", "mgr/balancer/active"), ("osd/rack:r1/class:ssd", "debug_ms")] {
            let target = Target::parse(who).unwrap();
            assert_eq!(parse_key(&key(&target, option)), Some((target, option.to_owned())));
        }
        assert_eq!(Target::parse("nosuch"), None);
        assert_eq!(Target::parse("osd."), None);
    }
}
