//! Op vectors against a store in memory, as a PG with one OSD would run them.

mod class;
mod compound;
mod copy;
mod families;
mod io;
mod listing;
mod omap;
mod replay;
mod snap;
mod watch;

use std::time::Duration;

use bytes::Bytes;
use denc::{ByteStr, Encode, Encoder};
use messages::{MOSDOp, MOSDOpReply, Message};
use node::{ConnId, Now, Peer};
use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use types::options::Config;
use types::{
    AddrType, EVersion, EntityAddr, EntityName, HObject, LogEntry, ObjectStatSum, OpArgs, OsdOp, OsdReqId, PgId,
    PgPool, SNAP_HEAD, SpgId, UTime, op,
};

use super::{Access, Blocked, Copied, Executed, Fetch, NothingMissing, OpEnv, ReadRange, RemoteCopy, WriteSet};
use crate::env::PgConfig;
use crate::object::ObjectContexts;
use crate::watch::{Expired, Watches};

const POOL: i64 = 1;

/// A PG of one OSD: what is submitted is committed.
struct Rig {
    store: MemStore,
    contexts: ObjectContexts,
    watches: Watches,
    pool: PgPool,
    cfg: PgConfig,
    now: Now,
    client: i64,
    /// The client's, if not the usual one.
    addr: Option<EntityAddr>,
    tid: u64,
    last_update: EVersion,
    last_user_version: u64,
    log: Vec<LogEntry>,
    stats: ObjectStatSum,
    sent: Vec<(ConnId, Message)>,
    /// What was handed in because an op asked for it to be read.
    bulk_reads: Vec<ReadRange>,
    /// Fields of the next message.
    msg: MOSDOp,
}

impl Rig {
    fn new() -> Self {
        let pgid = SpgId::from(PgId::new(POOL, 0));
        let mut store = MemStore::new();
        let mut txn = Transaction::new();
        txn.push(TxOp::MkColl { coll: Coll::Pg(pgid), bits: 0 });
        store.apply(&txn).expect("a new collection");
        let pool = PgPool {
            kind: types::pool::POOL_TYPE_REPLICATED,
            size: 1,
            pg_num: 1,
            pgp_num: 1,
            object_hash: 2,
            ..PgPool::default()
        };
        let msg = MOSDOp {
            pgid,
            hobj: HObject { pool: POOL, snap: SNAP_HEAD, oid: "o".into(), ..HObject::default() },
            map_epoch: 10,
            mtime: UTime { sec: 1_700_000_000, nsec: 0 },
            ..MOSDOp::default()
        };
        Self {
            store,
            contexts: ObjectContexts::default(),
            watches: Watches::default(),
            pool,
            cfg: PgConfig::new(&Config::daemon(), 1),
            now: Now { mono: Duration::from_secs(1000), wall: UTime { sec: 1_700_000_100, nsec: 0 } },
            client: 4100,
            addr: None,
            tid: 0,
            last_update: EVersion::new(10, 0),
            last_user_version: 0,
            log: Vec::new(),
            stats: ObjectStatSum::default(),
            sent: Vec::new(),
            bulk_reads: Vec::new(),
            msg,
        }
    }

    fn peer(&self) -> Peer {
        let usual = EntityAddr::parse("v1:127.0.0.1:0/77", AddrType::Legacy).expect("an address");
        let addr = self.addr.unwrap_or(usual);
        Peer {
            name: EntityName::client(self.client),
            addrs: addr.into(),
            features: types::features::ALL,
            global_id: self.client as u64,
            entity: "client.admin".into(),
        }
    }

    /// Becomes the PG that a message is for; it has no objects yet.
    fn adopt(&mut self, msg: &MOSDOp, pg_num: u32) {
        self.msg.pgid = msg.pgid;
        (self.pool.pg_num, self.pool.pgp_num) = (pg_num, pg_num);
        self.store = MemStore::new();
        let mut txn = Transaction::new();
        txn.push(TxOp::MkColl { coll: Coll::Pg(msg.pgid), bits: 0 });
        self.store.apply(&txn).expect("a new collection");
    }

    /// Executes a message without applying what comes of it.
    fn execute(&mut self, msg: &MOSDOp, prefetched: &[(ReadRange, Bytes)], copied: Option<&Copied>) -> Executed {
        let peer = self.peer();
        let mut env = OpEnv { copied, ..self.env(&peer, prefetched) };
        super::execute(&mut env, msg)
    }

    /// Fetches the source of a copy from this very PG, as if it were another.
    fn fetch(&mut self, source: RemoteCopy) -> Copied {
        let mut fetch = Fetch::new(source);
        let pgid = self.msg.pgid;
        for _ in 0..100 {
            let hash = types::hash::rjenkins(fetch.source().oid.as_bytes());
            let reply = self.deliver(&fetch.request(pgid, hash, 10)).expect("an answer");
            if let Some(copied) = fetch.absorb(&reply) {
                return copied;
            }
        }
        panic!("a copy comes to an end");
    }

    fn env<'a>(&'a mut self, peer: &'a Peer, prefetched: &'a [(ReadRange, Bytes)]) -> OpEnv<'a> {
        OpEnv {
            now: self.now,
            pgid: self.msg.pgid,
            pool: &self.pool,
            epoch: 10,
            cfg: &self.cfg,
            store: &self.store,
            contexts: &mut self.contexts,
            watches: &mut self.watches,
            missing: &NothingMissing,
            removed_snaps: None,
            last_epoch_marked_full: 0,
            failsafe_full: false,
            next_version: EVersion::new(10, self.last_update.version + 1),
            last_update: self.last_update,
            last_user_version: self.last_user_version,
            conn: ConnId(self.client as u64),
            peer,
            reqid: OsdReqId { name: EntityName::client(self.client), tid: self.tid, inc: 0 },
            prefetched,
            copied: None,
            scrub_results: None,
            same_interval_since: 0,
        }
    }

    /// Runs ops on object `oid` and makes true what they decide.
    fn reply(&mut self, oid: &str, ops: Vec<OsdOp>) -> Option<MOSDOpReply> {
        self.tid += 1;
        let mut msg = self.msg.clone();
        msg.hobj.hash = types::hash::rjenkins(oid.as_bytes());
        msg.hobj.oid = oid.into();
        msg.ops = ops;
        self.deliver(&msg)
    }

    /// Runs a message and makes true what it decides.
    fn deliver(&mut self, msg: &MOSDOp) -> Option<MOSDOpReply> {
        let (mut prefetched, mut copied) = (Vec::new(), None);
        loop {
            match self.execute(msg, &prefetched, copied.as_ref()) {
                Executed::Reply { reply, effects } => {
                    self.apply_effects(effects);
                    return Some(*reply);
                }
                Executed::Write(set) => return self.submit(*set),
                Executed::Drop => return None,
                Executed::Blocked(Blocked::Read(ranges)) => {
                    assert!(prefetched.is_empty(), "one round of reads is enough");
                    for r in ranges {
                        let data = self.store.read(Coll::Pg(msg.pgid), &r.soid.clone().into(), r.off, r.len);
                        prefetched.push((r.clone(), data.expect("a read").unwrap_or_default()));
                        self.bulk_reads.push(r);
                    }
                }
                Executed::Blocked(Blocked::Remote(source)) => copied = Some(self.fetch(*source)),
                Executed::Blocked(other) => panic!("blocked: {other:?}"),
            }
        }
    }

    fn apply_effects(&mut self, effects: Option<Box<crate::watch::Effects>>) {
        if let Some(effects) = effects {
            self.watches.apply(self.now, *effects, &mut self.sent);
        }
    }

    fn submit(&mut self, set: WriteSet) -> Option<MOSDOpReply> {
        for (i, entry) in set.log.iter().enumerate() {
            assert_eq!(entry.version.version, self.last_update.version + 1 + i as u64);
        }
        self.store.apply(&set.txn).expect("a transaction that the store takes");
        let last = set.log.last().expect("every write is logged");
        self.last_update = last.version;
        self.last_user_version = self.last_user_version.max(last.user_version);
        self.log.extend(set.log);
        set.contexts.into_iter().for_each(|c| self.contexts.put(c));
        self.stats += &set.stats;
        self.apply_effects(set.effects);
        set.reply.map(|r| *r)
    }

    /// The result of ops on an object.
    fn run(&mut self, oid: &str, ops: Vec<OsdOp>) -> i32 {
        self.reply(oid, ops).expect("an answer").result
    }

    /// The result and the data of a single op.
    fn one(&mut self, oid: &str, op: OsdOp) -> (i32, Bytes) {
        let reply = self.reply(oid, vec![op]).expect("an answer");
        (reply.result, reply.ops[0].outdata.clone())
    }

    fn data(&mut self, oid: &str) -> Bytes {
        let (result, data) = self.one(oid, read(0, 0));
        assert_eq!(result, 0);
        data
    }

    fn size(&mut self, oid: &str) -> Result<u64, i32> {
        match self.one(oid, OsdOp::new(op::STAT, OpArgs::default(), "")) {
            (0, data) => Ok(u64::from_le_bytes(data[..8].try_into().expect("8 bytes"))),
            (errno, _) => Err(-errno),
        }
    }

    /// Forgets all contexts, so that what follows sees the store alone.
    fn forget(&mut self) {
        self.contexts.clear();
    }

    fn expired(&mut self) -> Vec<Expired> {
        self.watches.expire(self.now, &mut self.sent)
    }
}

fn read(off: u64, len: u64) -> OsdOp {
    OsdOp::extent(op::READ, off, len, "")
}

fn write(off: u64, data: &'static str) -> OsdOp {
    OsdOp::extent(op::WRITE, off, data.len() as u64, data)
}

fn write_full(data: &'static str) -> OsdOp {
    OsdOp::extent(op::WRITEFULL, 0, data.len() as u64, data)
}

fn append(data: &'static str) -> OsdOp {
    OsdOp::extent(op::APPEND, 0, data.len() as u64, data)
}

fn truncate(size: u64) -> OsdOp {
    OsdOp::extent(op::TRUNCATE, size, 0, "")
}

fn plain(code: u16) -> OsdOp {
    OsdOp::new(code, OpArgs::default(), "")
}

fn with_flags(op: OsdOp, flags: u32) -> OsdOp {
    OsdOp { flags, ..op }
}

fn xattr(code: u16, name: &str, value: &[u8]) -> OsdOp {
    compare_xattr_as(code, name, value, 0, 0)
}

fn compare_xattr_as(code: u16, name: &str, value: &[u8], cmp_op: u8, cmp_mode: u8) -> OsdOp {
    let args = OpArgs::Xattr { name_len: name.len() as u32, value_len: value.len() as u32, cmp_op, cmp_mode };
    OsdOp::new(code, args, [name.as_bytes(), value].concat())
}

/// An op whose input is one value, encoded.
fn encoded(code: u16, input: &impl Encode) -> OsdOp {
    OsdOp::new(code, OpArgs::default(), denc::to_bytes(input, 0))
}

fn pairs(items: &[(&str, &str)]) -> std::collections::BTreeMap<ByteStr, Bytes> {
    items.iter().map(|(k, v)| ((*k).into(), Bytes::copy_from_slice(v.as_bytes()))).collect()
}

#[test]
fn the_lock_follows_from_what_the_ops_do() {
    use crate::object::Lock;
    let lock = |ops: Vec<OsdOp>| Access::of(&MOSDOp { ops, ..MOSDOp::default() }).map(|a| a.lock());
    assert_eq!(lock(vec![read(0, 1)]), Ok(Lock::Read));
    assert_eq!(lock(vec![write(0, "x")]), Ok(Lock::Write));
    assert_eq!(lock(vec![read(0, 1), write(0, "x")]), Ok(Lock::Exclusive));
    assert_eq!(lock(vec![OsdOp::call("lock", "lock", b"")]), Ok(Lock::Exclusive));
    assert_eq!(lock(vec![OsdOp::call("hello", "say_hello", b"")]), Ok(Lock::Read));
    assert_eq!(lock(vec![]), Err(types::errno::EINVAL));
}

#[test]
fn an_encoder_is_enough_for_inputs_of_several_fields() {
    let mut e = Encoder::new(0);
    e.put(&("a".to_owned(), 1_u64));
    assert_eq!(e.finish(), denc::to_bytes(&("a".to_owned(), 1_u64), 0));
}
