//! What a client's op vector (`MOSDOp`) does to an object.
//!
//! [`execute`] decides; it changes nothing but caches. Its answer, [`Executed`], is data: a reply, a
//! [`WriteSet`] to be logged, replicated and committed, or what to wait for before trying again.
//! `Pg` calls it as the primary, once the op is known to be at the right place, not seen before, and
//! has the lock that [`Access::lock`] names.
//!
//! Invariants (Ceph's, for clients depend on them):
//! - All of a vector takes effect or nothing, but for an op with FAILOK.
//! - Within a vector later ops see what earlier ones made of existence, size and version, but data,
//!   attributes and omap as they were before the vector (Ceph: PrimaryLogPG::do_osd_ops reads the
//!   store while the transaction is still being built).
//! - A write that fails or changes nothing still gets a log entry, of kind ERROR, so that a resend gets
//!   the same answer.
//! - `execute` may be called again for the same message, for example after [`Blocked::Read`].

use bytes::Bytes;
use messages::{MOSDOp, MOSDOpReply};
use node::{ConnId, Now, Peer};
use os::{Coll, ObjectRead, Transaction};
use types::{EVersion, Epoch, HObject, IntervalSet, LogEntry, ObjectStatSum, OsdReqId, PgPool, SpgId, Version};

use crate::env::PgConfig;
use crate::object::{ObjectContext, ObjectContexts};
use crate::watch::{Effects, Expired, Watches};

mod access;
mod attr;
mod call;
mod clone;
mod copy;
mod data;
mod digest;
mod digest_info;
mod exec;
mod finish;
mod list;
mod omap;
mod precheck;
mod trim;
mod write;

pub use access::Access;
pub use copy::{Copied, CopyData, Fetch, RemoteCopy};
pub use digest_info::{record_digests, record_measure, record_snapset};
pub use trim::{TrimError, trim_clone};

/// What the PG knows that ops depend on.
pub struct OpEnv<'a> {
    pub now: Now,
    pub pgid: SpgId,
    pub pool: &'a PgPool,
    /// Of the map that the PG stands at.
    pub epoch: Epoch,
    pub cfg: &'a PgConfig,
    /// Must show every transaction that the PG has submitted before.
    pub store: &'a dyn ObjectRead,
    pub contexts: &'a mut ObjectContexts,
    pub watches: &'a mut Watches,
    /// What cannot be read here at the moment.
    pub missing: &'a dyn Missing,
    /// Snapshots that are being removed from the pool.
    pub removed_snaps: Option<&'a IntervalSet>,
    /// `pg_history_t::last_epoch_marked_full`.
    pub last_epoch_marked_full: Epoch,
    /// The disk is so full that nothing more may be written.
    pub failsafe_full: bool,
    /// The version the next log entry gets; a write set's entries count up from it.
    pub next_version: EVersion,
    /// `pg_info_t::last_update` and `last_user_version`.
    pub last_update: EVersion,
    pub last_user_version: Version,
    pub conn: ConnId,
    pub peer: &'a Peer,
    /// The op's name for good ([`MOSDOp::reqid`]).
    pub reqid: OsdReqId,
    /// Data that was read because a former call returned [`Blocked::Read`].
    pub prefetched: &'a [(ReadRange, Bytes)],
    /// What was fetched because a former call returned [`Blocked::Remote`].
    pub copied: Option<&'a Copied>,
    /// What the last scrub found, if there was one in this interval.
    pub scrub_results: Option<&'a crate::scrub::Results>,
    pub same_interval_since: Epoch,
}

impl OpEnv<'_> {
    pub fn coll(&self) -> Coll {
        Coll::Pg(self.pgid)
    }
}

/// Objects that the PG has to get from peers before it can read them.
pub trait Missing {
    fn is_missing(&self, soid: &HObject) -> bool;
    /// Whether some member of the acting set does not have it.
    fn is_degraded(&self, soid: &HObject) -> bool;
    /// The first missing object that is not before `from`; listings show it all the same.
    fn first_missing(&self, from: &HObject) -> Option<HObject>;
    /// What became of an object of which there is nothing here.
    fn gone(&self, _soid: &HObject) -> Gone {
        Gone::No
    }
}

/// Whether an object that is not here was written and not deleted since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    No,
    /// Our disk lost it; others may have it.
    Here,
    /// Nobody has it.
    Everywhere,
}

/// A PG that has everything.
pub struct NothingMissing;

impl Missing for NothingMissing {
    fn is_missing(&self, _: &HObject) -> bool {
        false
    }

    fn is_degraded(&self, _: &HObject) -> bool {
        false
    }

    fn first_missing(&self, _: &HObject) -> Option<HObject> {
        None
    }
}

/// A bulk read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRange {
    pub soid: HObject,
    pub off: u64,
    pub len: u64,
}

/// What became of an op vector.
#[derive(Debug)]
pub enum Executed {
    /// Answer at once; nothing changes on disk. `effects` go to [`Watches::apply`].
    Reply {
        reply: Box<MOSDOpReply>,
        effects: Option<Box<Effects>>,
    },
    /// Log, replicate, commit; then reply.
    Write(Box<WriteSet>),
    Blocked(Blocked),
    /// Forget it without an answer: the client sends it again when the full flag is gone.
    Drop,
}

/// Why an op cannot run now. `execute` is to be called again when the reason is gone.
#[derive(Debug, PartialEq, Eq)]
pub enum Blocked {
    /// This object (a clone that a read or a rollback needs) has to be recovered first.
    Missing(HObject),
    /// These ranges must be read and handed in as [`OpEnv::prefetched`]; keep the lock meanwhile.
    Read(Vec<ReadRange>),
    /// A local disk could not read the object; another copy may be good.
    Damaged { soid: HObject, why: String },
    /// `COPY_FROM`: the source must be got with a [`Fetch`] and handed in as [`OpEnv::copied`]; keep the lock
    /// meanwhile.
    Remote(Box<RemoteCopy>),
}

/// A change to be made: everything of one op vector.
#[derive(Debug)]
pub struct WriteSet {
    /// For the PG's collection; without the log. Empty if only the log changes.
    pub txn: Transaction,
    /// In order, with versions from [`OpEnv::next_version`] on: perhaps a clone, then the object; or one
    /// ERROR entry.
    pub log: Vec<LogEntry>,
    /// To be put into [`ObjectContexts`] when the transaction is submitted. The last is the object's.
    pub contexts: Vec<ObjectContext>,
    pub stats: ObjectStatSum,
    /// To be sent when all members of the acting set have committed.
    pub reply: Option<Box<MOSDOpReply>>,
    /// To be given to [`Watches::apply`] when all members of the acting set have committed.
    pub effects: Option<Box<Effects>>,
}

/// Runs a client's op vector. The PG has seen to it that the op is for it, that the client is not on the
/// blocklist, that the op was not done before, and that the object is not degraded if
/// [`Access::write_ordered`].
pub fn execute(env: &mut OpEnv, msg: &MOSDOp) -> Executed {
    precheck::execute(env, msg)
}

/// Takes a watch whose time is up from its object's info. `None` if it is gone already. To be called when
/// the object could be written.
pub fn remove_watch(env: &mut OpEnv, expired: &Expired) -> Option<Box<WriteSet>> {
    finish::remove_watch(env, expired)
}

#[cfg(test)]
mod tests;
