//! Who may log in: `auth …`. Kept, shown and changed; with authentication `none` nobody asks yet.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::dump::Dump;
use types::{UTime, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, caps as grammar, fail};
use crate::change::Space;
use crate::core::Mon;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "auth ls" | "auth list" => ls,
        "auth get" => get,
        "auth get-key" | "auth print-key" | "auth print_key" => get_key,
        "auth export" => export,
        "auth add" => add,
        "auth get-or-create" => get_or_create,
        "auth get-or-create-key" => get_or_create_key,
        "auth caps" => caps,
        "auth rm" | "auth del" => rm,
        "auth import" => import,
        _ => return None,
    })
}

/// `CryptoKey`: a secret with its kind (1: AES-128) and when it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    pub kind: u16,
    pub created: UTime,
    pub secret: Vec<u8>,
}

impl Encode for Key {
    fn encode(&self, e: &mut Encoder) {
        e.u16(self.kind);
        e.put(&self.created);
        e.u16(self.secret.len() as u16);
        e.raw(&self.secret);
    }
}

impl Decode for Key {
    const MIN_SIZE: usize = 12;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let (kind, created, len) = (d.u16()?, d.get()?, d.u16()?);
        Ok(Self { kind, created, secret: d.slice(len.into())?.to_vec() })
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Key {
    pub fn new(now: UTime, secret: [u8; 16]) -> Self {
        Self { kind: 1, created: now, secret: secret.to_vec() }
    }

    pub fn text(&self) -> String {
        let bytes = denc::to_bytes(self, 0);
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let digit = BASE64[(word >> (18 - 6 * i) & 63) as usize];
                out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
            }
        }
        out
    }

    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u32> = text
            .trim()
            .trim_end_matches('=')
            .bytes()
            .map(|b| BASE64.iter().position(|d| *d == b).map(|p| p as u32))
            .collect::<Option<_>>()?;
        let mut bytes = vec![];
        for chunk in digits.chunks(4) {
            let word = chunk.iter().fold(0u32, |w, d| w << 6 | d) << (6 * (4 - chunk.len()));
            bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
        }
        denc::from_bytes(bytes).ok()
    }
}

/// `EntityAuth`: a key, and what it allows by service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    pub key: Key,
    pub caps: BTreeMap<String, String>,
}

impl Entity {
    pub fn new(key: Key, caps: BTreeMap<String, String>) -> Self {
        Self { key, caps }
    }

    fn keyring(&self, name: &str) -> String {
        let mut t = format!("[{name}]\n\tkey = {}\n", self.key.text());
        for (service, caps) in &self.caps {
            t += &format!("\tcaps {service} = \"{caps}\"\n");
        }
        t
    }

    fn dump(&self, name: &str) -> Dump {
        let mut caps = Dump::obj();
        self.caps.iter().for_each(|(k, v)| caps.put(k.clone(), v));
        Dump::obj().with("entity", name).with("key", self.key.text()).with("caps", caps)
    }
}

impl Encode for Entity {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.key);
            e.put(&self.caps);
        });
    }
}

impl Decode for Entity {
    const MIN_SIZE: usize = 22;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("entity", 1, |d, _| Ok(Self { key: d.get()?, caps: d.get()? }))
    }
}

impl Mon {
    /// An entity as pending changes leave it.
    fn entity(&self, name: &str) -> Option<Entity> {
        match self.pending.get(Space::Auth, name) {
            Some(pending) => denc::from_bytes(pending?.clone()).ok(),
            None => self.state.value(Space::Auth, name),
        }
    }

    fn entities(&self) -> Vec<(String, Entity)> {
        let rows =
            self.state.space(Space::Auth).filter_map(|(k, v)| Some((k.clone(), denc::from_bytes(v.clone()).ok()?)));
        let mut all: Vec<(String, Entity)> = rows.collect();
        // As Ceph's map has them: by the number of their kind.
        let rank = |name: &str| match name.split('.').next() {
            Some("mon") => 1,
            Some("mds") => 2,
            Some("osd") => 4,
            Some("client") => 8,
            _ => 16,
        };
        all.sort_by_key(|(name, _)| (rank(name), name.clone()));
        all
    }

    fn new_key(&mut self, now: UTime) -> Key {
        Key::new(now, self.secrets.next())
    }
}

/// A name such as `client.x`, checked.
fn name(c: &Cmd) -> Result<String, Fail> {
    let name = c.arg("entity")?;
    let known = ["mon", "osd", "mds", "mgr", "client", "auth"];
    match name.split_once('.') {
        Some((kind, id)) if known.contains(&kind) && !id.is_empty() => Ok(name),
        _ => fail(errno::EINVAL, "bad entity name"),
    }
}

fn found(c: &Cmd, name: &str) -> Result<Entity, Fail> {
    c.mon.entity(name).ok_or_else(|| Fail(errno::ENOENT, format!("failed to find {name} in keyring")))
}

/// `SERVICE CAPS` pairs.
fn caps_args(c: &Cmd) -> Result<BTreeMap<String, String>, Fail> {
    let list = c.args.list("caps");
    if !list.len().is_multiple_of(2) {
        return fail(errno::EINVAL, "bad capabilities request; odd number of arguments");
    }
    for pair in list.chunks(2) {
        if !grammar::SERVICES.contains(&pair[0].as_str()) {
            return fail(errno::EINVAL, format!("unknown cap type '{}'", pair[0]));
        }
        grammar::check(&pair[0], &pair[1]).map_err(|why| Fail(errno::EINVAL, why))?;
    }
    Ok(list.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

fn ls(c: &mut Cmd) -> CmdResult {
    let all = c.mon.entities();
    let tree = || Dump::obj().with("auth_dump", Dump::arr("auth_entities", all.iter().map(|(n, e)| e.dump(n))));
    let text = || {
        let mut t = String::new();
        for (name, e) in &all {
            t += &format!("{name}\n\tkey: {}\n", e.key.text());
            for (service, caps) in &e.caps {
                t += &format!("\tcaps: [{service}] {caps}\n");
            }
        }
        t
    };
    let reply = c.dump_or("auth", tree, text);
    Ok(if c.format().is_none() { reply.and_says("installed auth entries:\n") } else { reply })
}

fn keyring_reply(c: &Cmd, name: &str, e: &Entity) -> Reply {
    c.dump_or("auth", || Dump::arr("auth_entities", [e.dump(name)]), || e.keyring(name))
}

fn get(c: &mut Cmd) -> CmdResult {
    let asked = c.arg("entity")?;
    let name = name(c).map_err(|Fail(errno, _)| Fail(errno, format!("invalid entity_auth {asked}")))?;
    let e = found(c, &name)?;
    Ok(keyring_reply(c, &name, &e).and_says(format!("exported keyring for {name}")))
}

fn key_reply(c: &Cmd, e: &Entity) -> Reply {
    c.dump_or("auth", || Dump::obj().with("key", e.key.text()), || e.key.text())
}

fn get_key(c: &mut Cmd) -> CmdResult {
    let name = name(c)?;
    let e = c.mon.entity(&name).ok_or_else(|| Fail(errno::ENOENT, format!("don't have {name}")))?;
    Ok(key_reply(c, &e))
}

fn export(c: &mut Cmd) -> CmdResult {
    if c.args.has("entity") {
        let name = name(c)?;
        let e = found(c, &name)?;
        return Ok(Reply::data(e.keyring(&name)).and_says(format!("export {name}")));
    }
    let all: String = c.mon.entities().iter().map(|(n, e)| e.keyring(n)).collect();
    Ok(Reply::data(all).and_says("exported master keyring"))
}

fn add(c: &mut Cmd) -> CmdResult {
    let name = name(c)?;
    let caps = caps_args(c)?;
    let sent = parse_keyring(&String::from_utf8_lossy(&c.data))?.remove(&name);
    if let Some(old) = c.mon.entity(&name) {
        if sent.as_ref().is_some_and(|e| e.key != old.key) {
            return fail(errno::EINVAL, format!("entity {name} exists but key does not match"));
        }
        let services = caps.keys().chain(old.caps.keys());
        if let Some(other) = services.into_iter().find(|s| caps.get(*s) != old.caps.get(*s)) {
            return fail(errno::EINVAL, format!("entity {name} exists but cap {other} does not match"));
        }
    }
    let key = sent.map_or_else(|| c.mon.new_key(c.cx.now.wall), |e| e.key);
    c.mon.pending.put_value(Space::Auth, name.clone(), &Entity::new(key, caps));
    Ok(Reply::says(format!("added key for {name}")))
}

fn make(c: &mut Cmd) -> Result<(String, Entity), Fail> {
    let name = name(c)?;
    let caps = caps_args(c)?;
    if let Some(old) = c.mon.entity(&name) {
        if let Some((service, _)) = caps.iter().find(|(s, text)| old.caps.get(*s) != Some(*text)) {
            return fail(errno::EINVAL, format!("key for {name} exists but cap {service} does not match"));
        }
        return Ok((name, old));
    }
    let e = Entity::new(c.mon.new_key(c.cx.now.wall), caps);
    c.mon.pending.put_value(Space::Auth, name.clone(), &e);
    Ok((name, e))
}

fn get_or_create(c: &mut Cmd) -> CmdResult {
    let (name, e) = make(c)?;
    let plain = || format!("[{name}]\n\tkey = {}\n", e.key.text());
    Ok(c.dump_or("auth", || Dump::arr("auth_entities", [e.dump(&name)]), plain))
}

fn get_or_create_key(c: &mut Cmd) -> CmdResult {
    let (_, e) = make(c)?;
    Ok(key_reply(c, &e))
}

fn caps(c: &mut Cmd) -> CmdResult {
    let name = name(c)?;
    let caps = caps_args(c)?;
    let mut e = c.mon.entity(&name).ok_or_else(|| Fail(errno::ENOENT, format!("couldn't find entry {name}")))?;
    e.caps = caps;
    c.mon.pending.put_value(Space::Auth, name.clone(), &e);
    Ok(Reply::says(format!("updated caps for {name}")))
}

fn rm(c: &mut Cmd) -> CmdResult {
    let name = name(c)?;
    if c.mon.entity(&name).is_none() {
        return Ok(Reply::says(format!("entity {name} does not exist")));
    }
    c.mon.pending.rm(Space::Auth, name);
    Ok(Reply::says("updated"))
}

fn import(c: &mut Cmd) -> CmdResult {
    let all = parse_keyring(&String::from_utf8_lossy(&c.data))?;
    if all.is_empty() {
        return fail(errno::EINVAL, "auth import: no data supplied");
    }
    for (name, e) in all {
        c.mon.pending.put_value(Space::Auth, name, &e);
    }
    Ok(Reply::says("imported keyring"))
}

fn parse_keyring(text: &str) -> Result<BTreeMap<String, Entity>, Fail> {
    let mut all: BTreeMap<String, Entity> = BTreeMap::new();
    let mut section = None;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        let wrong = || Fail(errno::EINVAL, "error decoding keyring".to_owned());
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = Some(name.to_owned());
            all.entry(name.to_owned()).or_default();
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(wrong)?;
        let entity = section.as_ref().and_then(|s| all.get_mut(s)).ok_or_else(wrong)?;
        let value = value.trim().trim_matches('"');
        match key.trim() {
            "key" => entity.key = Key::parse(line.split_once('=').map_or("", |(_, v)| v)).ok_or_else(wrong)?,
            other if other.starts_with("caps ") => {
                entity.caps.insert(other["caps ".len()..].trim().to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_key_comes_back_as_it_was() {
        let text = "AQAKAAFrNlk6DhAAlGeAf+r8yEfgxzXpp36qIA==";
        assert_eq!(Key::parse(text).unwrap().text(), text);
        assert_eq!(Key::parse("no key"), None);
    }
}
