//! Keys whose byte order is the order of objects in a collection.
//!
//! The prefix of the collection (of all PGs of a pool the same: a PG's collection is a range, see
//! [`os::Coll::bounds`]), then shard, pool, hash with its bits reversed, namespace, locator key and
//! name, snap and generation (the order of `ghobject_t`). Text ends with two zero bytes, and a zero
//! byte within it is followed by 0xff, so that a prefix sorts first.

use denc::ByteStr;
use os::Coll;
use types::{GHObject, HObject, PgId, PoolId, SpgId};

const SIGN: u64 = 1 << 63;
/// Length of a collection's prefix.
pub const COLL_LEN: usize = 14;

/// How an object's name relates to its locator key.
const NAME_BELOW_KEY: u8 = 1;
/// There is no locator key, or it is the name; a byte at the end tells which.
const NAME_IS_KEY: u8 = 2;
const NAME_ABOVE_KEY: u8 = 3;

/// The prefix of a collection's objects.
fn put_row(out: &mut Vec<u8>, coll: Coll) {
    match coll {
        Coll::Pg(pg) => put_coll(out, Coll::Pg(SpgId { pgid: PgId::new(pg.pgid.pool, 0), ..pg })),
        other => put_coll(out, other),
    }
}

fn put_coll(out: &mut Vec<u8>, coll: Coll) {
    let (kind, pg) = match coll {
        Coll::Meta => (0, SpgId::default()),
        Coll::Pg(pg) => (1, pg),
        Coll::Temp(pg) => (2, pg),
    };
    out.push(kind);
    out.extend_from_slice(&(pg.pgid.pool as u64 ^ SIGN).to_be_bytes());
    out.extend_from_slice(&pg.pgid.seed.to_be_bytes());
    out.push(pg.shard as u8 ^ 0x80);
}

pub fn coll(coll: Coll) -> Vec<u8> {
    let mut out = Vec::with_capacity(COLL_LEN);
    put_coll(&mut out, coll);
    out
}

pub fn parse_coll(key: &[u8]) -> Option<Coll> {
    let mut p = Parser(key);
    let coll = p.coll()?;
    p.0.is_empty().then_some(coll)
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    for (i, part) in text.split(|b| *b == 0).enumerate() {
        if i > 0 {
            out.extend_from_slice(&[0, 0xff]);
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&[0, 0]);
}

/// The key of an object. The largest `ghobject_t` gives a key beyond all objects of the collection.
pub fn object(coll: Coll, oid: &GHObject) -> Vec<u8> {
    let h = &oid.hobj;
    let mut out = Vec::with_capacity(COLL_LEN + 40 + h.nspace.len() + h.key.len() + h.oid.len());
    put_row(&mut out, coll);
    if oid.max {
        out.push(0xff);
        return out;
    }
    out.push(oid.shard as u8 ^ 0x80);
    if h.max {
        out.extend_from_slice(&[0xff; 9]);
        return out;
    }
    out.extend_from_slice(&(h.pool as u64 ^ SIGN).to_be_bytes());
    out.extend_from_slice(&h.bitwise_key().to_be_bytes());
    put_text(&mut out, h.nspace.as_bytes());
    put_text(&mut out, h.effective_key().as_bytes());
    let relation = match h.oid.cmp(&h.key) {
        _ if h.key.is_empty() => NAME_IS_KEY,
        std::cmp::Ordering::Less => NAME_BELOW_KEY,
        std::cmp::Ordering::Equal => NAME_IS_KEY,
        std::cmp::Ordering::Greater => NAME_ABOVE_KEY,
    };
    out.push(relation);
    if matches!(relation, NAME_BELOW_KEY | NAME_ABOVE_KEY) {
        put_text(&mut out, h.oid.as_bytes());
    }
    out.extend_from_slice(&h.snap.to_be_bytes());
    out.extend_from_slice(&oid.generation.to_be_bytes());
    out.push((relation == NAME_IS_KEY && !h.key.is_empty()).into());
    out
}

/// The keys of a collection's objects lie from the first of these up to the second. `bits` bits of the hash count.
pub fn bounds(coll: Coll, bits: u32) -> (Vec<u8>, Vec<u8>) {
    let (first, end) = coll.bounds(bits);
    (object(coll, &first), object(coll, &end))
}

/// The pool that an object's key names; none for the OSD's own objects.
pub fn pool(key: &[u8]) -> Option<PoolId> {
    let pool = key.get(1..9).filter(|_| key[0] != 0)?;
    Some((u64::from_be_bytes(pool.try_into().ok()?) ^ SIGN).cast_signed())
}

/// The object, and its collection; for an object of a PG, the first PG of its pool.
pub fn parse_object(key: &[u8]) -> Option<(Coll, GHObject)> {
    let mut p = Parser(key);
    let coll = p.coll()?;
    let shard = (p.u8()? ^ 0x80) as i8;
    let pool = (p.u64()? ^ SIGN) as i64;
    let hash = p.u32()?.reverse_bits();
    let nspace = p.text()?;
    let effective = p.text()?;
    let relation = p.u8()?;
    let other_name = matches!(relation, NAME_BELOW_KEY | NAME_ABOVE_KEY).then(|| p.text());
    let snap = p.u64()?;
    let generation = p.u64()?;
    let (oid, key) = match (relation, other_name, p.u8()?) {
        (NAME_IS_KEY, _, 0) => (effective, ByteStr::default()),
        (NAME_IS_KEY, _, 1) => (effective.clone(), effective),
        (_, Some(oid), 0) => (oid?, effective),
        _ => return None,
    };
    let hobj = HObject { oid, key, snap, hash, max: false, pool, nspace };
    p.0.is_empty().then_some((coll, GHObject { hobj, generation, shard, max: false }))
}

/// A key that belongs to a numbered thing (an object's blocks, an omap).
pub fn numbered(id: u64, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + rest.len());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(rest);
    out
}

/// The number in such a key, and the rest.
pub fn parse_numbered(key: &[u8]) -> Option<(u64, &[u8])> {
    let (id, rest) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*id), rest))
}

struct Parser<'a>(&'a [u8]);

impl Parser<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<ByteStr> {
        let mut out = Vec::new();
        loop {
            match (self.u8()?, self.0.first()) {
                (0, Some(0)) => {
                    self.u8()?;
                    return Some(out.into());
                }
                (0, Some(0xff)) => {
                    self.u8()?;
                    out.push(0);
                }
                (0, _) => return None,
                (b, _) => out.push(b),
            }
        }
    }

    fn coll(&mut self) -> Option<Coll> {
        let kind = self.u8()?;
        let pool = (self.u64()? ^ SIGN) as i64;
        let seed = self.u32()?;
        let shard = (self.u8()? ^ 0x80) as i8;
        let pg = SpgId { pgid: PgId::new(pool, seed), shard };
        match kind {
            0 => Some(Coll::Meta),
            1 => Some(Coll::Pg(pg)),
            2 => Some(Coll::Temp(pg)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::SNAP_HEAD;

    fn objects() -> Vec<GHObject> {
        let mut all = vec![GHObject::pgmeta(PgId::new(1, 7))];
        for (pool, hash) in [(-1, 0), (1, 0), (1, 1), (1, 0x8000_0000), (3, 2)] {
            for nspace in ["", "n", "n\0", "n\0a", "n\u{1}"] {
                for (key, oid) in [("", "a"), ("", "b"), ("b", "a"), ("b", "b"), ("b", "c"), ("", "b\0")] {
                    for snap in [4, SNAP_HEAD] {
                        let (oid, key, nspace) = (oid.into(), key.into(), nspace.into());
                        all.push(HObject { oid, key, snap, hash, max: false, pool, nspace }.into());
                    }
                }
            }
        }
        all
    }

    #[test]
    fn keys_are_ordered_as_objects_are_and_read_back() {
        let coll = Coll::Pg(PgId::new(1, 0).into());
        let all = objects();
        for a in &all {
            assert_eq!(parse_object(&object(coll, a)), Some((coll, a.clone())));
            assert!(object(coll, &GHObject::min()) < object(coll, a));
            assert!(object(coll, a) < object(coll, &GHObject::max()));
            for b in &all {
                let (by_key, by_object) = (object(coll, a).cmp(&object(coll, b)), a.cmp(b));
                assert!(by_key == by_object || by_object.is_eq(), "{a} {b}");
            }
        }
    }

    #[test]
    fn the_bounds_of_a_collection_enclose_the_keys_of_what_it_holds() {
        for (seed, bits) in [(0, 0), (0, 1), (1, 1), (7, 3), (2, 2)] {
            let coll = Coll::Pg(PgId::new(1, seed).into());
            let (first, end) = bounds(coll, bits);
            for oid in objects() {
                let key = object(coll, &oid);
                assert_eq!(coll.holds(bits, &oid), first <= key && key < end, "{coll} {bits} {oid}");
            }
        }
    }
}
