//! What an operation does to an object: the little of RADOS that the load uses, as a pure function.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use bytes::Bytes;
use denc::{ByteStr, Decoder};
use rados::{ObjectOp, OpReply};
use types::errno;
use types::osd_op::cmpxattr;

/// An object that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Object {
    pub data: Vec<u8>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    pub header: Vec<u8>,
    pub omap: BTreeMap<String, Vec<u8>>,
}

/// `None`: it is not there.
pub type State = Option<Rc<Object>>;

/// A part of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// All there is to see.
    ReadAll,
    /// Makes the object if it is not there.
    Touch,
    /// Fails if it is there.
    Create,
    Remove,
    Append(Bytes),
    WriteFull(Bytes),
    Write(u64, Bytes),
    Truncate(u64),
    SetXattr(&'static str, Bytes),
    RmXattr(&'static str),
    /// Fails unless the attribute is this; one that is not there is empty.
    Compare(&'static str, Bytes),
    OmapSet(BTreeMap<String, Bytes>),
    OmapRm(Vec<String>),
    OmapClear,
    OmapHeader(Bytes),
}

/// An operation: its parts happen in order, all or none.
pub type Op = Vec<Action>;

/// What an operation gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok,
    /// A digest of all there was to see, and how it looked.
    Read(u64, String),
    Errno(i32),
}

pub fn is_write(op: &Op) -> bool {
    op.iter().any(|a| !matches!(a, Action::ReadAll))
}

/// What an operation makes of an object, and answers.
pub fn apply(state: &State, op: &Op) -> (State, Answer) {
    let mut next = state.as_deref().cloned();
    let mut answer = Answer::Ok;
    for action in op {
        match act(&mut next, action) {
            Ok(None) => {}
            Ok(Some(read)) => answer = read,
            Err(errno) => return (state.clone(), Answer::Errno(errno)),
        }
    }
    if !is_write(op) {
        return (state.clone(), answer);
    }
    (next.map(Rc::new), answer)
}

fn act(state: &mut Option<Object>, action: &Action) -> Result<Option<Answer>, i32> {
    match action {
        Action::ReadAll => {
            let object = state.as_ref().ok_or(errno::ENOENT)?;
            return Ok(Some(Answer::Read(digest(object), describe(object))));
        }
        Action::Create if state.is_some() => return Err(errno::EEXIST),
        Action::Remove => {
            state.take().ok_or(errno::ENOENT)?;
            return Ok(None);
        }
        Action::Compare(name, want) => {
            let object = state.as_ref().ok_or(errno::ENOENT)?;
            let is = object.xattrs.get(*name).map_or(&[][..], |v| v);
            return if is == &want[..] { Ok(None) } else { Err(errno::ECANCELED) };
        }
        _ => {}
    }
    let o = state.get_or_insert_default();
    match action {
        Action::Append(data) => o.data.extend_from_slice(data),
        Action::WriteFull(data) => o.data = data.to_vec(),
        Action::Write(off, data) => {
            let (off, end) = (*off as usize, *off as usize + data.len());
            o.data.resize(o.data.len().max(end), 0);
            o.data[off..end].copy_from_slice(data);
        }
        Action::Truncate(size) => o.data.resize(*size as usize, 0),
        Action::SetXattr(name, value) => drop(o.xattrs.insert((*name).to_owned(), value.to_vec())),
        Action::RmXattr(name) => drop(o.xattrs.remove(*name)),
        Action::OmapSet(keys) => o.omap.extend(keys.iter().map(|(k, v)| (k.clone(), v.to_vec()))),
        Action::OmapRm(keys) => keys.iter().for_each(|k| drop(o.omap.remove(k))),
        Action::OmapClear => {
            o.omap.clear();
            o.header.clear();
        }
        Action::OmapHeader(header) => o.header = header.to_vec(),
        Action::ReadAll | Action::Touch | Action::Create | Action::Remove | Action::Compare(..) => {}
    }
    Ok(None)
}

fn digest(object: &Object) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.hash(&mut hasher);
    hasher.finish()
}

/// A state's digest, for telling states apart.
pub fn digest_of(state: &State) -> u64 {
    state.as_deref().map_or(0, digest)
}

/// How an object looks, on one line.
pub fn describe(o: &Object) -> String {
    let show = |v: &[u8]| match std::str::from_utf8(v) {
        Ok(text) if text.len() <= 24 => text.to_owned(),
        _ => format!("{} bytes {:08x}", v.len(), msgr::crc32c(0, v)),
    };
    let pairs =
        |m: &BTreeMap<String, Vec<u8>>| m.iter().map(|(k, v)| format!("{k}={}", show(v))).collect::<Vec<_>>().join(" ");
    format!(
        "[{}] attrs {{{}}} header {{{}}} omap {{{}}}",
        show(&o.data),
        pairs(&o.xattrs),
        show(&o.header),
        pairs(&o.omap)
    )
}

/// An operation as a client sends it.
pub fn request(op: &Op, target: ObjectOp) -> ObjectOp {
    op.iter().fold(target, |to, action| match action {
        Action::ReadAll => to.read(0, 0).getxattrs().omap_get_header().omap_get(b"", 10_000),
        Action::Touch => to.create(false),
        Action::Create => to.create(true),
        Action::Remove => to.remove(),
        Action::Append(data) => to.append(data.clone()),
        Action::WriteFull(data) => to.write_full(data.clone()),
        Action::Write(off, data) => to.write(*off, data.clone()),
        Action::Truncate(size) => to.truncate(*size),
        Action::SetXattr(name, value) => to.setxattr(name, value),
        Action::RmXattr(name) => to.rmxattr(name),
        Action::Compare(name, want) => to.cmpxattr(name, cmpxattr::EQ, want),
        Action::OmapSet(keys) => to.omap_set(keys.iter().map(|(k, v)| (k.as_bytes(), &v[..]))),
        Action::OmapRm(keys) => to.omap_rm_keys(keys.iter().map(String::as_bytes)),
        Action::OmapClear => to.omap_clear(),
        Action::OmapHeader(header) => to.omap_set_header(header.clone()),
    })
}

/// What a cluster answered.
pub fn answer(op: &Op, reply: &OpReply) -> Answer {
    if reply.result < 0 {
        return Answer::Errno(-reply.result);
    }
    if is_write(op) {
        return Answer::Ok;
    }
    let object = Object {
        data: reply.data(0).to_vec(),
        xattrs: pairs(reply.data(1)),
        header: reply.data(2).to_vec(),
        omap: pairs(reply.data(3)),
    };
    Answer::Read(digest(&object), describe(&object))
}

fn pairs(raw: Bytes) -> BTreeMap<String, Vec<u8>> {
    let map: BTreeMap<ByteStr, Bytes> = Decoder::new(raw).get().expect("a map of names and values");
    map.into_iter().map(|(k, v)| (k.to_string(), v.to_vec())).collect()
}
