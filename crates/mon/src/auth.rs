//! Who comes in. Authentication is `none` for now: a client says who it is and gets a global id.
//!
//! Global ids name a client's life, and OSDs tell repeated operations by them: none is ever given
//! out twice. They come from ranges that the replicated state has granted; an id counts as given
//! once the range that holds it is committed, so a crash skips ids and reuses none.

use std::collections::VecDeque;

use denc::{DecodeError, Decoder};
use node::AuthReply;
use types::{ENTITY_TYPE_CLIENT, ENTITY_TYPE_MDS, ENTITY_TYPE_MGR, ENTITY_TYPE_MON, ENTITY_TYPE_OSD, EntityName};

/// `CEPH_AUTH_NONE`.
pub const METHOD_NONE: u32 = 1;
/// `CEPH_CON_MODE_CRC`.
pub const MODE_CRC: u32 = 1;
const EOPNOTSUPP: i32 = 95;
const EINVAL: i32 = 22;

/// Ids granted at a time (Ceph: `mon_globalid_prealloc`).
const GRANT: u64 = 10_000;
/// The first id of all; smaller ones look like daemons' numbers in logs.
const FIRST: u64 = 4_100;

/// The ids that this monitor may give out.
#[derive(Debug, Default)]
pub struct GlobalIds {
    /// Ranges that the replicated state has granted to this monitor, and nobody else.
    ranges: VecDeque<(u64, u64)>,
    /// Ids below it may have been given out by some monitor.
    max: u64,
}

/// The range to be granted when ids below `max` are taken.
pub fn next_range(max: u64) -> (u64, u64) {
    let from = max.max(FIRST);
    (from, from + GRANT)
}

impl GlobalIds {
    /// A range is ours: that it is granted is committed.
    pub fn add(&mut self, from: u64, to: u64) {
        self.ranges.push_back((from, to));
        self.max = self.max.max(to);
    }

    /// The replicated state has granted ids up to `max`.
    pub fn set_max(&mut self, max: u64) {
        self.max = self.max.max(max);
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// Whether there are too few left.
    pub fn wants_more(&self) -> bool {
        self.ranges.iter().map(|(from, to)| to - from).sum::<u64>() < GRANT / 2
    }

    /// A fresh id; `None` until more are granted.
    pub fn take(&mut self) -> Option<u64> {
        let (from, to) = self.ranges.front_mut()?;
        let id = *from;
        *from += 1;
        if from == to {
            self.ranges.pop_front();
        }
        Some(id)
    }

    /// Whether this id may have been given out, by this monitor or another: a client that asks to keep it may.
    pub fn is_given(&self, id: u64) -> bool {
        (FIRST..self.max).contains(&id) && !self.ranges.iter().any(|(from, to)| (*from..*to).contains(&id))
    }
}

/// The id that a client says it has; 0 if it has none.
pub fn claimed_id(payload: &bytes::Bytes) -> u64 {
    Request::decode(payload.clone()).map_or(0, |r| r.global_id)
}

/// Monitors need no id, and talk to each other before there is a quorum that could give one.
pub fn answer_mon(method: u32, payload: &bytes::Bytes) -> Option<AuthReply> {
    let request = Request::decode(payload.clone()).ok().filter(|r| r.kind == ENTITY_TYPE_MON)?;
    (method == METHOD_NONE).then(|| AuthReply::Done {
        name: request.name(0),
        entity: request.entity,
        global_id: 0,
        con_mode: MODE_CRC,
        payload: bytes::Bytes::new(),
    })
}

/// What a client says of itself in its first authentication frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `client.admin`, `osd.3`.
    pub entity: String,
    pub kind: u8,
    /// 0 if it never had one.
    pub global_id: u64,
}

impl Request {
    /// Reads the payload: a mode byte, the entity's name, the global id.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decode(payload: bytes::Bytes) -> Result<Self, DecodeError> {
        let mut d = Decoder::new(payload);
        d.u8()?;
        let kind = d.u32()?;
        let (name, prefix) = match u8::try_from(kind) {
            Ok(ENTITY_TYPE_MON) => (ENTITY_TYPE_MON, "mon"),
            Ok(ENTITY_TYPE_MDS) => (ENTITY_TYPE_MDS, "mds"),
            Ok(ENTITY_TYPE_OSD) => (ENTITY_TYPE_OSD, "osd"),
            Ok(ENTITY_TYPE_CLIENT) => (ENTITY_TYPE_CLIENT, "client"),
            Ok(ENTITY_TYPE_MGR) => (ENTITY_TYPE_MGR, "mgr"),
            _ => return Err(DecodeError::Invalid { what: "entity type", value: kind.into() }),
        };
        let id = d.string()?;
        Ok(Self { entity: format!("{prefix}.{id}"), kind: name, global_id: d.u64()? })
    }

    fn name(&self, global_id: u64) -> EntityName {
        let id = self.entity.split_once('.').map_or("", |(_, id)| id);
        let num = match self.kind {
            ENTITY_TYPE_OSD | ENTITY_TYPE_MON => id.parse().unwrap_or(-1),
            _ => i64::try_from(global_id).unwrap_or(i64::MAX),
        };
        EntityName { kind: self.kind, num }
    }
}

/// Answers a request; `None` if it has to wait until ids are granted.
pub fn answer(ids: &mut GlobalIds, method: u32, payload: &bytes::Bytes) -> Option<AuthReply> {
    let request = match checked(method, payload) {
        Ok(request) => request,
        Err(bad) => return Some(bad),
    };
    let global_id = if ids.is_given(request.global_id) { request.global_id } else { ids.take()? };
    Some(done(request, global_id))
}

/// Answers one who is let in without a quorum: it keeps the id that it says it has, and gets none.
pub fn answer_visitor(method: u32, payload: &bytes::Bytes) -> AuthReply {
    match checked(method, payload) {
        Ok(request) => {
            let id = request.global_id;
            done(request, id)
        }
        Err(bad) => bad,
    }
}

fn checked(method: u32, payload: &bytes::Bytes) -> Result<Request, AuthReply> {
    let bad = |errno| AuthReply::Bad { errno, allowed_methods: vec![METHOD_NONE], allowed_modes: vec![MODE_CRC] };
    if method != METHOD_NONE {
        return Err(bad(-EOPNOTSUPP));
    }
    Request::decode(payload.clone()).map_err(|_| bad(-EINVAL))
}

fn done(request: Request, global_id: u64) -> AuthReply {
    AuthReply::Done {
        name: request.name(global_id),
        entity: request.entity,
        global_id,
        con_mode: MODE_CRC,
        payload: bytes::Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Recorded from real Ceph's `ceph` program.
    const ADMIN: &[u8] = b"\x0a\x08\0\0\0\x05\0\0\0admin\0\0\0\0\0\0\0\0";

    #[test]
    fn an_id_is_never_given_twice_however_often_the_monitor_dies() {
        let mut seen = std::collections::BTreeSet::new();
        let mut max = 0;
        for _ in 0..5 {
            let mut ids = GlobalIds::default();
            ids.set_max(max);
            assert_eq!(ids.take(), None, "nothing is given before it is granted");
            let (from, to) = next_range(max);
            max = to;
            ids.add(from, to);
            for _ in 0..3 {
                assert!(seen.insert(ids.take().unwrap()));
            }
        }
    }

    #[test]
    fn a_client_keeps_an_id_that_was_given_and_no_other() {
        let mut ids = GlobalIds::default();
        let (from, to) = next_range(0);
        ids.add(from, to);
        let mut ask = |id: u64| {
            let mut payload = ADMIN[..14].to_vec();
            payload.extend(id.to_le_bytes());
            match answer(&mut ids, METHOD_NONE, &Bytes::from(payload)) {
                Some(AuthReply::Done { global_id, name, entity, .. }) => {
                    assert_eq!((name, entity.as_str()), (EntityName::client(global_id as i64), "client.admin"));
                    global_id
                }
                other => panic!("{other:?}"),
            }
        };
        let first = ask(0);
        assert_eq!(ask(first), first);
        assert_ne!(ask(first + 1000), first + 1000);
        assert!(matches!(answer(&mut ids, 2, &Bytes::new()), Some(AuthReply::Bad { errno: -95, .. })));
    }
}
