//! Class `lock`: advisory locks kept in an object's attributes, `lock.NAME`.
//!
//! A lock is exclusive, shared, or exclusive and ephemeral (the object goes with the lock). Lockers are
//! told apart by client and cookie; an expired one counts as gone, whoever looks.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder, from_bytes, to_bytes};
use types::errno::{EBUSY, EEXIST, EINVAL, EIO, ENODATA, ENOENT};
use types::{AddrType, EntityAddr, EntityName, UTime};

use crate::{Class, ClsContext, Flags, Method, Result, input};

pub const CLASS: Class = Class {
    name: "lock",
    methods: &[
        Method { name: "lock", flags: Flags::RdWr, call: lock },
        Method { name: "unlock", flags: Flags::RdWr, call: unlock },
        Method { name: "break_lock", flags: Flags::RdWr, call: break_lock },
        Method { name: "get_info", flags: Flags::Rd, call: get_info },
        Method { name: "list_locks", flags: Flags::Rd, call: list_locks },
        Method { name: "assert_locked", flags: Flags::Rd, call: assert_locked },
        Method { name: "set_cookie", flags: Flags::RdWr, call: set_cookie },
    ],
    filters: &[],
};

const PREFIX: &[u8] = b"lock.";

/// `ClsLockType`. Any other number is invalid where a type is asked for.
mod kind {
    pub const EXCLUSIVE: u8 = 1;
    pub const SHARED: u8 = 2;
    pub const EXCLUSIVE_EPHEMERAL: u8 = 3;
}

const FLAG_MAY_RENEW: u8 = 1;
const FLAG_MUST_RENEW: u8 = 2;

/// `locker_id_t`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct LockerId {
    locker: EntityName,
    cookie: ByteStr,
}

impl Encode for LockerId {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.locker);
            e.put(&self.cookie);
        });
    }
}

impl Decode for LockerId {
    const MIN_SIZE: usize = 19;
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("locker_id_t", 1, |d, _| Ok(Self { locker: d.get()?, cookie: d.get()? }))
    }
}

/// `locker_info_t`. An expiration of zero is never.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LockerInfo {
    expiration: UTime,
    addr: EntityAddr,
    description: ByteStr,
}

impl Encode for LockerInfo {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.expiration);
            e.put(&self.addr);
            e.put(&self.description);
        });
    }
}

impl Decode for LockerInfo {
    const MIN_SIZE: usize = 30;
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("locker_info_t", 1, |d, _| Ok(Self { expiration: d.get()?, addr: d.get()?, description: d.get()? }))
    }
}

/// `lock_info_t`, and `cls_lock_get_info_reply`, which has the same fields.
#[derive(Debug, Default, PartialEq, Eq)]
struct LockInfo {
    lockers: BTreeMap<LockerId, LockerInfo>,
    kind: u8,
    /// Who would share the lock must name the same tag.
    tag: ByteStr,
}

impl Encode for LockInfo {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.lockers);
            e.u8(self.kind);
            e.put(&self.tag);
        });
    }
}

impl Decode for LockInfo {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("lock_info_t", 1, |d, _| Ok(Self { lockers: d.get()?, kind: d.u8()?, tag: d.get()? }))
    }
}

/// `cls_lock_lock_op`.
struct LockOp {
    name: ByteStr,
    kind: u8,
    cookie: ByteStr,
    tag: ByteStr,
    description: ByteStr,
    duration: UTime,
    flags: u8,
}

impl Decode for LockOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_lock_lock_op", 1, |d, _| {
            let (name, kind, cookie, tag) = (d.get()?, d.u8()?, d.get()?, d.get()?);
            Ok(Self { name, kind, cookie, tag, description: d.get()?, duration: d.get()?, flags: d.u8()? })
        })
    }
}

/// `cls_lock_unlock_op`.
struct UnlockOp {
    name: ByteStr,
    cookie: ByteStr,
}

impl Decode for UnlockOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_lock_unlock_op", 1, |d, _| Ok(Self { name: d.get()?, cookie: d.get()? }))
    }
}

/// `cls_lock_break_op`.
struct BreakOp {
    name: ByteStr,
    locker: EntityName,
    cookie: ByteStr,
}

impl Decode for BreakOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_lock_break_op", 1, |d, _| Ok(Self { name: d.get()?, locker: d.get()?, cookie: d.get()? }))
    }
}

/// `cls_lock_get_info_op`.
struct InfoOp {
    name: ByteStr,
}

impl Decode for InfoOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_lock_get_info_op", 1, |d, _| Ok(Self { name: d.get()? }))
    }
}

/// `cls_lock_assert_op`; `cls_lock_set_cookie_op` has one more field.
struct AssertOp {
    name: ByteStr,
    kind: u8,
    cookie: ByteStr,
    tag: ByteStr,
}

impl AssertOp {
    fn decode_fields(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        Ok(Self { name: d.get()?, kind: d.u8()?, cookie: d.get()?, tag: d.get()? })
    }
}

impl Decode for AssertOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_lock_assert_op", 1, |d, _| Self::decode_fields(d))
    }
}

struct SetCookieOp {
    held: AssertOp,
    new_cookie: ByteStr,
}

impl Decode for SetCookieOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_lock_set_cookie_op", 1, |d, _| {
            Ok(Self { held: AssertOp::decode_fields(d)?, new_cookie: d.get()? })
        })
    }
}

fn is_valid(kind: u8) -> bool {
    matches!(kind, kind::EXCLUSIVE | kind::SHARED | kind::EXCLUSIVE_EPHEMERAL)
}

fn attr_name(lock: &ByteStr) -> Vec<u8> {
    [PREFIX, lock.as_bytes()].concat()
}

/// The lock with its expired lockers taken out; no lockers if there is no such lock.
fn load(ctx: &mut dyn ClsContext, name: &ByteStr) -> Result<LockInfo> {
    let mut info: LockInfo = match ctx.xattr(&attr_name(name)) {
        Ok(raw) => from_bytes(raw).map_err(|_| EIO)?,
        Err(ENODATA) => return Ok(LockInfo::default()),
        Err(e) => return Err(e),
    };
    let now = ctx.now();
    info.lockers.retain(|_, l| l.expiration.is_zero() || l.expiration >= now);
    if info.lockers.is_empty() && info.kind == kind::EXCLUSIVE_EPHEMERAL {
        // Best effort: a method that may not write leaves the object to the next one that may. Unlike
        // Ceph, which also fails such a read (a write by a method not marked so).
        let _ = ctx.remove();
    }
    Ok(info)
}

fn store(ctx: &mut dyn ClsContext, name: &ByteStr, info: &LockInfo) -> Result<i32> {
    ctx.set_xattr(&attr_name(name), to_bytes(info, ctx.features()))?;
    Ok(0)
}

fn lock(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: LockOp = input(bytes)?;
    let (may_renew, must_renew) = (op.flags & FLAG_MAY_RENEW != 0, op.flags & FLAG_MUST_RENEW != 0);
    if !is_valid(op.kind) || op.name.is_empty() || may_renew && must_renew {
        return Err(EINVAL);
    }
    let mut info = match load(ctx, &op.name) {
        Err(ENOENT) => LockInfo::default(),
        other => other?,
    };
    // Before the old entry is taken out: it counts for the tag.
    if !info.lockers.is_empty() && op.tag != info.tag {
        return Err(EBUSY);
    }
    let origin = ctx.origin();
    let id = LockerId { locker: origin.name, cookie: op.cookie };
    match info.lockers.remove(&id) {
        Some(_) if !may_renew && !must_renew => return Err(EEXIST),
        None if must_renew => return Err(ENOENT),
        _ => (),
    }
    if !info.lockers.is_empty() && (op.kind != kind::SHARED || info.kind != op.kind) {
        return Err(EBUSY);
    }
    info.kind = op.kind;
    info.tag = op.tag;
    let expiration = match op.duration.is_zero() {
        true => UTime::ZERO,
        false => UTime::from_duration(ctx.now().to_duration() + op.duration.to_duration()),
    };
    // A client's address has no fixed protocol, and old clients read this.
    let addr = EntityAddr { kind: AddrType::Legacy, ..origin.addrs.legacy_or_first() };
    info.lockers.insert(id, LockerInfo { expiration, addr, description: op.description });
    store(ctx, &op.name, &info)
}

fn remove_locker(ctx: &mut dyn ClsContext, name: &ByteStr, id: &LockerId) -> Result<i32> {
    let mut info = load(ctx, name)?;
    info.lockers.remove(id).ok_or(ENOENT)?;
    if info.kind == kind::EXCLUSIVE_EPHEMERAL {
        ctx.remove()?;
        return Ok(0);
    }
    store(ctx, name, &info)
}

fn unlock(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: UnlockOp = input(bytes)?;
    let id = LockerId { locker: ctx.origin().name, cookie: op.cookie };
    remove_locker(ctx, &op.name, &id)
}

fn break_lock(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: BreakOp = input(bytes)?;
    remove_locker(ctx, &op.name, &LockerId { locker: op.locker, cookie: op.cookie })
}

fn get_info(ctx: &mut dyn ClsContext, bytes: Bytes, out: &mut Encoder) -> Result<i32> {
    let op: InfoOp = input(bytes)?;
    out.put(&load(ctx, &op.name)?);
    Ok(0)
}

fn list_locks(ctx: &mut dyn ClsContext, _: Bytes, out: &mut Encoder) -> Result<i32> {
    let attrs = ctx.xattrs()?;
    let names: Vec<&[u8]> = attrs.keys().filter_map(|name| name.as_bytes().strip_prefix(PREFIX)).collect();
    out.versioned(1, 1, |e| {
        e.u32(names.len() as u32);
        names.iter().for_each(|name| e.blob(name));
    });
    Ok(0)
}

/// The lock, if the caller holds it just so.
fn held(ctx: &mut dyn ClsContext, op: &AssertOp) -> Result<(LockInfo, LockerId)> {
    if !is_valid(op.kind) || op.name.is_empty() {
        return Err(EINVAL);
    }
    let info = load(ctx, &op.name)?;
    let id = LockerId { locker: ctx.origin().name, cookie: op.cookie.clone() };
    let same = info.kind == op.kind && info.tag == op.tag && info.lockers.contains_key(&id);
    if same { Ok((info, id)) } else { Err(EBUSY) }
}

fn assert_locked(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: AssertOp = input(bytes)?;
    held(ctx, &op)?;
    Ok(0)
}

fn set_cookie(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: SetCookieOp = input(bytes)?;
    let (mut info, old) = held(ctx, &op.held)?;
    let new = LockerId { locker: old.locker, cookie: op.new_cookie };
    if info.lockers.contains_key(&new) {
        return Err(EBUSY);
    }
    let locker = info.lockers.remove(&old).expect("held() found it");
    info.lockers.insert(new, locker);
    store(ctx, &op.held.name, &info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Object;

    fn lock_op(name: &str, kind: u8, cookie: &str, tag: &str, secs: u32, flags: u8) -> Bytes {
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| {
            e.string(name);
            e.u8(kind);
            e.string(cookie);
            e.string(tag);
            e.string("desc");
            e.put(&UTime { sec: secs, nsec: 0 });
            e.u8(flags);
        });
        e.finish()
    }

    fn strings(parts: &[&str]) -> Bytes {
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| parts.iter().for_each(|p| e.string(p)));
        e.finish()
    }

    #[test]
    fn an_exclusive_lock_keeps_others_out_until_it_is_unlocked() {
        let mut o = Object::default();
        let take = |o: &mut Object, cookie| o.call("lock", "lock", &lock_op("lk", kind::EXCLUSIVE, cookie, "", 0, 0));
        assert_eq!(take(&mut o, "c1"), Ok(vec![]));
        assert_eq!(take(&mut o, "c1"), Err(EEXIST));
        assert_eq!(take(&mut o, "c2"), Err(EBUSY));
        o.client += 1;
        assert_eq!(o.call("lock", "lock", &lock_op("lk", kind::SHARED, "c3", "tag", 0, 0)), Err(EBUSY));
        assert_eq!(o.call("lock", "unlock", &strings(&["lk", "c1"])), Err(ENOENT));
        o.client -= 1;
        assert_eq!(o.call("lock", "unlock", &strings(&["lk", "c1"])), Ok(vec![]));
        assert_eq!(o.call("lock", "unlock", &strings(&["lk", "c1"])), Err(ENOENT));
    }

    #[test]
    fn shared_lockers_need_one_tag_and_an_expired_one_is_gone() {
        let mut o = Object::default();
        assert_eq!(o.call("lock", "lock", &lock_op("sh", kind::SHARED, "a", "t", 0, 0)), Ok(vec![]));
        assert_eq!(o.call("lock", "lock", &lock_op("sh", kind::SHARED, "b", "t", 0, 0)), Ok(vec![]));
        assert_eq!(o.call("lock", "lock", &lock_op("sh", kind::SHARED, "c", "other", 0, 0)), Err(EBUSY));
        assert_eq!(o.call("lock", "lock", &lock_op("short", kind::EXCLUSIVE, "c", "", 1, 0)), Ok(vec![]));
        o.now.sec += 1;
        o.now.nsec = 1;
        assert_eq!(o.call("lock", "lock", &lock_op("short", kind::EXCLUSIVE, "d", "", 0, 0)), Ok(vec![]));
        let listed = o.call("lock", "list_locks", b"").expect("listed");
        let names = Decoder::new(listed.into()).versioned("reply", 1, |d, _| d.get::<Vec<String>>());
        assert_eq!(names, Ok(vec!["sh".to_owned(), "short".to_owned()]));
    }

    #[test]
    fn renewal_follows_its_flags() {
        let mut o = Object::default();
        let take = |o: &mut Object, flags| o.call("lock", "lock", &lock_op("lk", kind::EXCLUSIVE, "c", "", 0, flags));
        assert_eq!(take(&mut o, FLAG_MUST_RENEW), Err(ENOENT));
        assert_eq!(take(&mut o, FLAG_MAY_RENEW), Ok(vec![]));
        assert_eq!(take(&mut o, FLAG_MUST_RENEW), Ok(vec![]));
        assert_eq!(take(&mut o, FLAG_MAY_RENEW | FLAG_MUST_RENEW), Err(EINVAL));
    }

    #[test]
    fn an_ephemeral_lock_takes_its_object_along() {
        let mut o = Object::default();
        assert_eq!(o.call("lock", "lock", &lock_op("e", kind::EXCLUSIVE_EPHEMERAL, "c", "", 0, 0)), Ok(vec![]));
        assert!(o.exists);
        assert_eq!(o.call("lock", "unlock", &strings(&["e", "c"])), Ok(vec![]));
        assert!(!o.exists);
    }

    #[test]
    fn a_cookie_is_changed_only_by_its_holder() {
        let mut o = Object::default();
        assert_eq!(o.call("lock", "lock", &lock_op("lk", kind::EXCLUSIVE, "old", "t", 0, 0)), Ok(vec![]));
        let change = |from: &str, to: &str| {
            let mut e = Encoder::new(0);
            e.versioned(1, 1, |e| {
                e.string("lk");
                e.u8(kind::EXCLUSIVE);
                [from, "t", to].iter().for_each(|s| e.string(s));
            });
            e.finish()
        };
        assert_eq!(o.call("lock", "set_cookie", &change("wrong", "new")), Err(EBUSY));
        assert_eq!(o.call("lock", "set_cookie", &change("old", "new")), Ok(vec![]));
        assert_eq!(o.call("lock", "unlock", &strings(&["lk", "new"])), Ok(vec![]));
    }
}
