//! Who comes in. Authentication is `none` for now: a client says who it is and gets a global id.
//!
//! Global ids name a client's life, and OSDs tell repeated operations by them: none is ever given
//! out twice. They come from ranges that the replicated state has granted; an id counts as given
//! once the range that holds it is committed, so a crash skips ids and reuses none.

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
    next: u64,
    /// The end (exclusive) of what the replicated state has granted.
    granted: u64,
}

impl GlobalIds {
    /// Takes up leadership: everything below `max` may have been given out before.
    pub fn start(&mut self, max: u64) {
        self.next = max.max(FIRST);
        self.granted = max;
    }

    /// The replicated state has granted ids up to `max`.
    pub fn grant(&mut self, max: u64) {
        self.granted = self.granted.max(max);
    }

    /// The end of the range to ask for, if there are too few left.
    pub fn wanted(&self) -> Option<u64> {
        (self.granted < self.next + GRANT / 2).then_some(self.next + GRANT)
    }

    /// A fresh id; `None` until more are granted.
    pub fn take(&mut self) -> Option<u64> {
        if self.next >= self.granted {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Whether this id may have been given out: a client that asks to keep it may.
    pub fn is_given(&self, id: u64) -> bool {
        (FIRST..self.next).contains(&id)
    }
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
    let bad = |errno| AuthReply::Bad { errno, allowed_methods: vec![METHOD_NONE], allowed_modes: vec![MODE_CRC] };
    if method != METHOD_NONE {
        return Some(bad(-EOPNOTSUPP));
    }
    let Ok(request) = Request::decode(payload.clone()) else { return Some(bad(-EINVAL)) };
    let global_id = if ids.is_given(request.global_id) { request.global_id } else { ids.take()? };
    Some(AuthReply::Done {
        name: request.name(global_id),
        entity: request.entity,
        global_id,
        con_mode: MODE_CRC,
        payload: bytes::Bytes::new(),
    })
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
        let mut granted = 0;
        for _ in 0..5 {
            let mut ids = GlobalIds::default();
            ids.start(granted);
            assert_eq!(ids.take(), None, "nothing is given before it is granted");
            granted = ids.wanted().unwrap();
            ids.grant(granted);
            for _ in 0..3 {
                assert!(seen.insert(ids.take().unwrap()));
            }
        }
    }

    #[test]
    fn a_client_keeps_an_id_that_was_given_and_no_other() {
        let mut ids = GlobalIds::default();
        ids.start(0);
        ids.grant(ids.wanted().unwrap());
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
