//! Settings: `config …`.

use std::collections::BTreeMap;

use types::dump::Dump;
use types::options::{self, OptionDef};
use types::table::Table;
use types::{UTime, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail};
use crate::change::Space;
use crate::config_db::{self, Setting, Target};
use crate::core::Mon;
use crate::state::meta;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "config set" => set,
        "config rm" => rm,
        "config get" => get,
        "config dump" => dump,
        "config help" => help,
        "config ls" => ls,
        "config log" => log,
        "config reset" => reset,
        "config assimilate-conf" => assimilate,
        "config generate-minimal-conf" => minimal_conf,
        _ => return None,
    })
}

/// One entry of the history: when, under which name, and what: key, old and new value.
type History = ((UTime, String), Vec<(String, (Option<String>, Option<String>))>);

fn target(who: &str) -> Result<Target, Fail> {
    Some(who)
        .filter(|who| !who.is_empty())
        .and_then(Target::parse)
        .ok_or_else(|| Fail(errno::EINVAL, format!("unrecognized config target '{who}'")))
}

/// What a daemon must know before it can ask the monitors is not kept by them.
fn is_kept(def: &OptionDef) -> Result<(), Fail> {
    if !def.flags.contains(&"no_mon_update") {
        return Ok(());
    }
    fail(errno::EINVAL, format!("{} is special and cannot be stored by the mon", def.name))
}

/// Options of manager modules are not in the table; the module judges them.
fn is_open(name: &str) -> bool {
    name.starts_with("mgr/")
}

impl Mon {
    /// Puts settings (`None` removes) and notes them in the history.
    pub(super) fn change_settings(&mut self, now: UTime, name: &str, changes: Vec<(String, Option<String>)>) {
        let mut noted = vec![];
        for (key, new) in changes {
            let old = match self.pending.get(Space::Config, &key) {
                Some(pending) => pending.cloned(),
                None => self.state.get(Space::Config, &key).cloned(),
            };
            let old = old.map(|v| String::from_utf8_lossy(&v).into_owned());
            if old == new {
                continue;
            }
            match &new {
                Some(value) => self.pending.put(Space::Config, key.clone(), value.clone()),
                None => self.pending.rm(Space::Config, key.clone()),
            }
            noted.push((key, (old, new)));
        }
        if noted.is_empty() {
            return;
        }
        let version = self.config_version() + 1;
        self.pending.put_value(Space::Meta, meta::CONFIG_VERSION, &version);
        let history: History = ((now, name.to_owned()), noted);
        self.pending.put_value(Space::ConfigLog, format!("{version:016x}"), &history);
    }

    fn config_version(&self) -> u64 {
        let pending = self.pending.get(Space::Meta, meta::CONFIG_VERSION).flatten();
        let pending = pending.and_then(|b| denc::from_bytes(b.clone()).ok());
        pending.or_else(|| self.state.value(Space::Meta, meta::CONFIG_VERSION)).unwrap_or(1)
    }

    fn config_history(&self) -> Vec<(u64, History)> {
        let rows = self.state.space(Space::ConfigLog).filter_map(|(key, value)| {
            Some((u64::from_str_radix(key, 16).ok()?, denc::from_bytes(value.clone()).ok()?))
        });
        rows.collect()
    }
}

pub fn set(c: &mut Cmd) -> CmdResult {
    let (who, name, value) = (c.arg("who")?, c.arg("name")?, c.arg("value")?);
    let forced = c.args.flag("force");
    let mut option = name.clone();
    let mut value = value;
    if let Some(def) = options::find(&name) {
        option = def.name.to_owned();
        if !forced {
            value = def.check(&value).map_err(|e| Fail(e.errno(), format!("error parsing value: {e}")))?;
            is_kept(def)?;
        }
    } else if !forced && !is_open(&name) {
        return fail(errno::EINVAL, format!("unrecognized config option '{name}'"));
    }
    let target = target(&who)?;
    c.mon.change_settings(c.cx.now.wall, "", vec![(config_db::key(&target, &option), Some(value))]);
    Ok(Reply::default())
}

fn rm(c: &mut Cmd) -> CmdResult {
    let (who, name) = (c.arg("who")?, c.arg("name")?);
    let name = options::find(&name).map_or(name, |def| def.name.to_owned());
    let key = config_db::key(&target(&who)?, &name);
    c.mon.change_settings(c.cx.now.wall, "", vec![(key, None)]);
    Ok(Reply::default())
}

fn runtime(option: &str) -> bool {
    options::find(option).is_none_or(|def| def.runtime)
}

fn level(option: &str) -> &'static str {
    options::find(option).map_or("advanced", |def| def.level)
}

fn read_only(option: &str) -> String {
    if runtime(option) { String::new() } else { "*".to_owned() }
}

/// Ceph's dump lists sections in this order, options by name within.
fn in_order(mut settings: Vec<Setting>) -> Vec<Setting> {
    settings.sort_by(|a, b| {
        let key = |s: &Setting| {
            let kind = s.target.section.split('.').next().unwrap_or_default().to_owned();
            let depth = usize::from(s.target.section != "global") + usize::from(s.target.section.contains('.'));
            let place = config_db::key(&s.target, &s.option);
            (depth.min(1), kind, s.target.section.clone(), s.option.clone(), place)
        };
        key(a).cmp(&key(b))
    });
    settings
}

fn dump(c: &mut Cmd) -> CmdResult {
    let settings = in_order(c.mon.settings());
    let tree = || {
        let rows = settings.iter().map(|s| {
            let mut d = Dump::obj()
                .with("section", &s.target.section)
                .with("name", &s.option)
                .with("value", &s.value)
                .with("level", level(&s.option))
                .with("can_update_at_runtime", runtime(&s.option))
                .with("mask", s.target.mask());
            if let Some((kind, name)) = &s.target.location {
                d.put("location_type", kind);
                d.put("location_value", name);
            }
            if let Some(class) = &s.target.device_class {
                d.put("device_class", class);
            }
            d
        });
        Dump::arr("option", rows)
    };
    let text = || {
        let mut grid = Table::new().left("WHO").left("MASK").left("LEVEL").left("OPTION").left("VALUE").left("RO");
        for s in &settings {
            let indent = match s.target.section.as_str() {
                "global" => "",
                section if section.contains('.') => "    ",
                _ => "  ",
            };
            let who = format!("{indent}{}", s.target.section);
            let row = [who, s.target.mask(), level(&s.option).to_owned(), s.option.clone(), s.value.clone()];
            grid.row(row.into_iter().chain([read_only(&s.option)]));
        }
        grid.render()
    };
    Ok(c.dump_or("config", tree, text))
}

pub fn get(c: &mut Cmd) -> CmdResult {
    let who = c.arg("who")?;
    if Target::parse(&who).is_none() {
        return fail(errno::EINVAL, format!("unrecognized entity '{who}'"));
    }
    let settings = c.mon.settings();
    let whom = c.mon.who(&who, "");
    let found = config_db::effective(&settings, &whom);
    if let Some(key) = c.args.text("key") {
        return get_one(c, &whom.entity, &key, &found);
    }
    let tree = || {
        let mut d = Dump::obj();
        for (option, s) in &found {
            let mut mask = Dump::obj();
            if let Some((kind, name)) = &s.target.location {
                mask.put("location_type", kind);
                mask.put("location_value", name);
            }
            if let Some(class) = &s.target.device_class {
                mask.put("device_class", class);
            }
            let value = Dump::obj()
                .with("value", &s.value)
                .with("section", &s.target.section)
                .with("mask", mask)
                .with("can_update_at_runtime", runtime(option));
            d.put(option.clone(), value);
        }
        d
    };
    let text = || {
        let mut grid = Table::new().left("WHO").left("MASK").left("LEVEL").left("OPTION").left("VALUE").left("RO");
        for s in found.values() {
            let row = [
                s.target.section.clone(),
                s.target.mask(),
                level(&s.option).to_owned(),
                s.option.clone(),
                s.value.clone(),
                read_only(&s.option),
            ];
            grid.row(row);
        }
        grid.render()
    };
    Ok(c.dump_or("config", tree, text))
}

fn get_one(c: &Cmd, entity: &str, key: &str, found: &BTreeMap<String, &Setting>) -> CmdResult {
    let def = options::find(key);
    let name = def.map_or(key, |d| d.name);
    if name == "fsid" {
        return Ok(Reply::data(format!("{}\n", c.mon.setup.fsid)));
    }
    def.map_or(Ok(()), is_kept)?;
    let value = match (found.get(name), def) {
        (Some(s), _) => s.value.clone(),
        (None, Some(def)) => def.default_for(!entity.starts_with("client")).to_owned(),
        (None, None) => return fail(errno::ENOENT, format!("unrecognized key '{key}'")),
    };
    // As in Ceph, no format makes anything else of it.
    Ok(Reply::data(value + "\n"))
}

pub fn help(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    let Some(def) = options::find(&key) else {
        return fail(errno::ENOENT, format!("configuration option '{key}' not recognized"));
    };
    let text = || {
        let mut t = format!("{} - {}\n  ({}, {})\n", def.name, def.note(), def.kind.as_str(), def.level);
        t += &match def.daemon_default {
            "" => format!("  Default: {}\n", def.default),
            daemon => format!("  Default (non-daemon): {}\n  Default (daemon): {daemon}\n", def.default),
        };
        if !def.min.is_empty() {
            t += &format!("  Minimum: {}\n  Maximum: {}\n", def.min, def.max);
        }
        if !def.allowed.is_empty() {
            t += &format!("  Possible values:  {}\n", def.allowed.join(" "));
        }
        t += &format!("  Can update at runtime: {}\n", def.runtime);
        if !def.services.is_empty() {
            t += &format!("  Services: [{}]\n", def.services.join(","));
        }
        if !def.tags.is_empty() {
            t += &format!("  Tags: [{}]\n", def.tags.join(","));
        }
        if !def.see_also.is_empty() {
            t += &format!("  See also: [{}]\n", def.see_also.join(","));
        }
        t
    };
    Ok(c.dump_or("option", || def.dump(), text))
}

/// Ceph lists all but the levels of logging.
fn listed() -> impl Iterator<Item = &'static OptionDef> {
    options::all().filter(|def| !def.is_debug_level())
}

fn ls(c: &mut Cmd) -> CmdResult {
    Ok(c.dump_or(
        "options",
        || Dump::arr("option", listed().map(|d| d.name)),
        || listed().map(|d| format!("{}\n", d.name)).collect(),
    ))
}

fn log(c: &mut Cmd) -> CmdResult {
    let max = c.args.i64("num").and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(10);
    let mut all = c.mon.config_history();
    all.insert(0, (1, ((UTime::ZERO, String::new()), vec![])));
    all.reverse();
    all.truncate(max);
    let tree = || {
        let entries = all.iter().map(|(version, ((stamp, name), changes))| {
            let changes = changes.iter().map(|(key, (old, new))| {
                let mut d = Dump::obj().with("name", key);
                if let Some(old) = old {
                    d.put("previous_value", old);
                }
                if let Some(new) = new {
                    d.put("new_value", new);
                }
                d
            });
            Dump::obj()
                .with("version", *version)
                .with("timestamp", *stamp)
                .with("name", name)
                .with("changes", Dump::arr("change", changes))
        });
        Dump::arr("changeset", entries)
    };
    let text = || {
        let mut t = String::new();
        for (version, ((stamp, name), changes)) in &all {
            let said = if name.is_empty() { String::new() } else { format!(" {name} ---") };
            t += &format!("--- {version} --- {stamp} ---{said}\n");
            for (key, (old, new)) in changes {
                if let Some(old) = old {
                    t += &format!("- {key} = {old}\n");
                }
                if let Some(new) = new {
                    t += &format!("+ {key} = {new}\n");
                }
            }
        }
        t
    };
    Ok(c.dump_or("changesets", tree, text))
}

fn reset(c: &mut Cmd) -> CmdResult {
    let to = c.args.i64("num").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    // The first stands for nothing being set.
    if to != 1 && !c.mon.config_history().iter().any(|(version, _)| *version == to) {
        let text = "must specify a valid historical version to revert to; see 'ceph config log' for a list of \
                    available configuration historical versions";
        return fail(errno::EINVAL, text);
    }
    let mut undo: BTreeMap<String, Option<String>> = BTreeMap::new();
    // The oldest change after the wanted number says what stood before it.
    for (_, (_, changes)) in c.mon.config_history().into_iter().rev().take_while(|(v, _)| *v > to) {
        undo.extend(changes.into_iter().map(|(key, (old, _))| (key, old)));
    }
    c.mon.change_settings(c.cx.now.wall, &format!("reset to {to}"), undo.into_iter().collect());
    Ok(Reply::default())
}

/// Takes over what a configuration file sets and nothing else did, and gives back what has to stay in it.
fn assimilate(c: &mut Cmd) -> CmdResult {
    let sections = read_conf(&String::from_utf8_lossy(&c.data)).map_err(|why| Fail(errno::EINVAL, why))?;
    let (mut changes, mut rest) = (vec![], String::new());
    let settings = c.mon.settings();
    for (section, values) in sections {
        let target = Target::parse(&section);
        let mut stays = String::new();
        for (key, value) in values {
            // What is set already, perhaps for some only, is not overridden.
            let is_set = |def: &OptionDef| {
                settings.iter().any(|s| s.option == def.name && s.target.section == section && s.value != value)
            };
            let taken = options::find(&key).filter(|def| is_kept(def).is_ok() && !is_set(def));
            match (&target, taken.and_then(|def| Some((def, def.check(&value).ok()?)))) {
                (Some(target), Some((def, value))) => changes.push((config_db::key(target, def.name), Some(value))),
                _ => stays += &format!("\t{key} = {value}\n"),
            }
        }
        if !stays.is_empty() {
            rest += &format!("\n[{section}]\n{stays}");
        }
    }
    c.mon.change_settings(c.cx.now.wall, "", changes);
    Ok(Reply::data(rest))
}

/// A configuration file: sections, and what each sets.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// Reads one: a backslash at a line's end joins it with the next, `#` and `;` begin comments, quotes may stand
/// around a value. What stands before the first section is for all.
fn read_conf(text: &str) -> Result<Sections, String> {
    let (mut sections, mut section) = (Sections::new(), "global".to_owned());
    for line in text.replace("\\\n", "").lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.trim().to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| format!("cannot parse config line '{line}'"))?;
        let key = options::normal_name(key);
        if key.is_empty() {
            return Err(format!("cannot parse config line '{line}'"));
        }
        let value = value.trim();
        let bare = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
        sections.entry(section.clone()).or_default().insert(key, bare.to_owned());
    }
    Ok(sections)
}

fn minimal_conf(c: &mut Cmd) -> CmdResult {
    let hosts: Vec<_> = c.mon.monmap().by_rank().map(|(_, m)| format!("[{}]", m.public_addrs)).collect();
    let fsid = c.mon.setup.fsid;
    let text = format!("# minimal ceph.conf for {fsid}\n[global]\n\tfsid = {fsid}\n\tmon_host = {}\n", hosts.join(" "));
    Ok(Reply::data(text))
}
