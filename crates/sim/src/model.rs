//! What an operation does to an object and its snapshots: the little of RADOS that the load uses, as a pure
//! function.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use bytes::Bytes;
use denc::{ByteStr, Decoder};
use rados::{ObjectOp, OpReply};
use types::osd_op::cmpxattr;
use types::{SnapContext, SnapId, errno};

/// An object that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Object {
    pub data: Vec<u8>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    pub header: Vec<u8>,
    pub omap: BTreeMap<String, Vec<u8>>,
}

/// An object and what snapshots hold of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Family {
    /// `None`: it was removed, but snapshots still hold it.
    head: Option<Rc<Object>>,
    /// The newest snapshot that any writer of it knew.
    seq: SnapId,
    /// Oldest first: the snapshots that a clone stands for, the newest of them last.
    clones: Vec<(Vec<SnapId>, Rc<Object>)>,
}

/// `None`: nothing of it is there.
pub type State = Option<Rc<Family>>;

impl From<Object> for Family {
    fn from(object: Object) -> Self {
        Self { head: Some(object.into()), ..Self::default() }
    }
}

impl Family {
    /// What a snapshot holds; what is newer than all that writers knew is the head.
    fn at(&self, snap: SnapId) -> Option<&Rc<Object>> {
        if snap > self.seq {
            return self.head.as_ref();
        }
        self.clones.iter().find(|(snaps, _)| snaps.contains(&snap)).map(|(_, object)| object)
    }

    /// After a write that made `head` of it, by someone who knew these snapshots: before it the object was kept for
    /// those that were new (Ceph: `make_writeable`).
    fn written(&self, head: Option<Rc<Object>>, known: &[SnapId]) -> State {
        let mut next = Self { head, ..self.clone() };
        let new: Vec<SnapId> = known.iter().copied().filter(|s| *s > self.seq).rev().collect();
        if let (Some(before), false) = (&self.head, new.is_empty()) {
            next.clones.push((new, before.clone()));
        }
        next.seq = known.first().map_or(self.seq, |newest| self.seq.max(*newest));
        // With its last member all that was known of it is gone.
        (next.head.is_some() || !next.clones.is_empty()).then(|| next.into())
    }
}

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
    /// Says first which snapshots the writer knows, newest first.
    Knowing(Vec<SnapId>),
    /// All there is to see at a snapshot.
    ReadAt(SnapId),
    /// Makes the object what it was at a snapshot.
    RollBack(SnapId),
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
    !op.iter().any(|a| matches!(a, Action::ReadAll | Action::ReadAt(_)))
}

/// What an operation makes of an object, and answers.
pub fn apply(state: &State, op: &Op) -> (State, Answer) {
    let before = state.clone().unwrap_or_default();
    let (mut head, mut known) = (before.head.clone(), &[][..]);
    for action in op {
        let done = match action {
            Action::Knowing(snaps) => {
                known = snaps;
                Ok(())
            }
            Action::ReadAll => return (state.clone(), seen(before.head.as_ref())),
            Action::ReadAt(snap) => return (state.clone(), seen(before.at(*snap))),
            Action::RollBack(snap) => {
                head = before.at(*snap).cloned();
                Ok(())
            }
            // Of what was removed while a snapshot holds it an empty object is left, which has no attributes. (Ceph, too.)
            Action::Compare(_, want) if head.is_none() && state.is_some() => {
                want.is_empty().then_some(()).ok_or(errno::ECANCELED)
            }
            action => act(&mut head, action),
        };
        if let Err(errno) = done {
            return (state.clone(), Answer::Errno(errno));
        }
    }
    (before.written(head, known), Answer::Ok)
}

fn seen(object: Option<&Rc<Object>>) -> Answer {
    object.map_or(Answer::Errno(errno::ENOENT), |o| Answer::Read(digest(o), describe(o)))
}

fn act(head: &mut Option<Rc<Object>>, action: &Action) -> Result<(), i32> {
    match action {
        Action::Create if head.is_some() => return Err(errno::EEXIST),
        Action::Remove => return head.take().map(drop).ok_or(errno::ENOENT),
        Action::Compare(name, want) => {
            let object = head.as_ref().ok_or(errno::ENOENT)?;
            let is = object.xattrs.get(*name).map_or(&[][..], |v| v);
            return if is == &want[..] { Ok(()) } else { Err(errno::ECANCELED) };
        }
        _ => {}
    }
    let o = Rc::make_mut(head.get_or_insert_default());
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
        Action::Touch | Action::Create | Action::Remove | Action::Compare(..) => {}
        Action::Knowing(_) | Action::ReadAll | Action::ReadAt(_) | Action::RollBack(_) => {
            unreachable!("these are no changes of the head alone")
        }
    }
    Ok(())
}

fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// A state's digest, for telling states apart.
pub fn digest_of(state: &State) -> u64 {
    state.as_deref().map_or(0, digest)
}

/// How all of it looks, on a few lines.
pub fn describe_all(state: &State) -> String {
    let Some(family) = state else { return "not there".to_owned() };
    let mut text = family.head.as_ref().map_or_else(|| "removed".to_owned(), |o| describe(o));
    for (snaps, object) in &family.clones {
        text += &format!(", at {snaps:?} {}", describe(object));
    }
    text + &format!(", snapshots known to {}", family.seq)
}

/// How an object looks, on one line.
fn describe(o: &Object) -> String {
    let show = |v: &[u8]| match std::str::from_utf8(v) {
        Ok(text) if text.len() <= 24 => text.to_owned(),
        _ => format!("{} bytes {:08x}", v.len(), types::crc32c(0, v)),
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
    let all = |to: ObjectOp| to.read(0, 0).getxattrs().omap_get_header().omap_get(b"", 10_000);
    op.iter().fold(target, |to, action| match action {
        Action::Knowing(snaps) => {
            let snapc = SnapContext { seq: snaps.first().copied().unwrap_or(0), snaps: snaps.clone() };
            ObjectOp { snapc, ..to }
        }
        Action::ReadAll => all(to),
        Action::ReadAt(snap) => ObjectOp { snap: *snap, ..all(to) },
        Action::RollBack(snap) => to.rollback(*snap),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn append(text: &'static str, known: &[SnapId]) -> Op {
        vec![Action::Knowing(known.to_vec()), Action::Append(Bytes::from_static(text.as_bytes()))]
    }

    fn text(state: &State, read: Action) -> Option<String> {
        match apply(state, &vec![read]).1 {
            Answer::Read(_, text) => text.split(']').next().map(|t| t[1..].to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_snapshot_holds_what_was_there_before_the_first_write_of_one_who_knew_it() {
        let mut state = apply(&None, &append("a", &[])).0;
        state = apply(&state, &append("b", &[3, 2])).0;
        // Somebody does not know them yet.
        state = apply(&state, &append("c", &[])).0;
        let at = |snap| text(&state, Action::ReadAt(snap));
        assert_eq!([at(2), at(3)], [Some("a".into()), Some("a".into())]);
        assert_eq!(at(4), Some("abc".into()), "nobody wrote since");
        assert_eq!(at(1), None);
        let back = apply(&state, &vec![Action::Knowing(vec![4, 3, 2]), Action::RollBack(2)]).0;
        assert_eq!(
            (text(&back, Action::ReadAll), text(&back, Action::ReadAt(4))),
            (Some("a".into()), Some("abc".into()))
        );
    }

    #[test]
    fn what_was_removed_is_still_there_at_its_snapshots() {
        let state = apply(&None, &append("a", &[])).0;
        let gone = apply(&state, &vec![Action::Knowing(vec![1]), Action::Remove]).0;
        assert_eq!((text(&gone, Action::ReadAll), text(&gone, Action::ReadAt(1))), (None, Some("a".into())));
        let new = apply(&gone, &append("b", &[2, 1])).0;
        assert_eq!((text(&new, Action::ReadAt(1)), text(&new, Action::ReadAt(2))), (Some("a".into()), None));
        assert_eq!(apply(&state, &vec![Action::Remove]).0, None);
    }
}
