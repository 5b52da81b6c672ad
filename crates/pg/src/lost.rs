//! Giving up objects that are unfound: an operator's word, `pg ID mark_unfound_lost revert|delete`.
//!
//! Each becomes a write of its own: the log says that the object is deleted, or that it is again what its
//! newest copy in the acting set holds, at a new version. That write carries no data; recovery brings every
//! member there as it does after any write that a member missed (Ceph: `mark_all_unfound_lost`).

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::ByteStr;
use messages::MOSDRepOp;
use node::Level;
use os::{Transaction, TxOp};
use types::errno::{EINVAL, EROFS};
use types::{EVersion, HObject, LogEntry, LogOp, ObjectInfo, ObjectStatSum, OsdId, OsdReqId, RareOfEntry, features};

use crate::env::Env;
use crate::object::OI_ATTR;
use crate::ops::WriteSet;
use crate::pg::{OnCommit, Pg, Phase};

/// What becomes of an object that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// What its newest copy holds counts again; one of which there is no copy at all is deleted.
    Revert,
    Delete,
}

impl Pg {
    /// `pg ID mark_unfound_lost`: what is said to the operator, or an errno and why not.
    ///
    /// # Errors
    /// If this is not the primary, or if someone who might have the objects is neither asked nor lost.
    pub fn mark_unfound_lost(&mut self, env: &mut Env, how: Lost) -> Result<String, (i32, String)> {
        if !self.is_primary() {
            return Err((EROFS, "not primary".into()));
        }
        let unfound: Vec<HObject> = self.missing_loc.unfound().cloned().collect();
        let count = unfound.len();
        if count == 0 || !matches!(self.phase, Phase::Active(_)) {
            return Ok("pg has no unfound objects".into());
        }
        if !self.unfound_are_lost() {
            let why = "unfound objects but we haven't probed all sources, not marking lost";
            return Err((EINVAL, format!("pg has {count} {why}")));
        }
        for soid in unfound {
            self.give_up_object(env, soid, how);
        }
        self.info.stats.stats_invalid = true;
        self.resume(env);
        self.stat_changed(env);
        let text = format!("pg has {count} objects unfound and apparently lost marking");
        env.cluster_log(Level::Info, format!("{} {text}", self.id.pgid));
        self.run_ready(env);
        self.finish(env);
        Ok(text)
    }

    fn give_up_object(&mut self, env: &mut Env, soid: HObject, how: Lost) {
        let Some(item) = self.missing_loc.needs(&soid).cloned() else { return };
        let holders = self.newest_held(&soid);
        let back_to = holders.first().map(|(v, _)| *v).filter(|v| how == Lost::Revert && !v.is_zero());
        let version = self.next_version();
        let entry = LogEntry {
            op: if back_to.is_some() { LogOp::LostRevert } else { LogOp::LostDelete },
            soid: soid.clone(),
            version,
            prior_version: item.need,
            rare: RareOfEntry { reverting_to: back_to.unwrap_or_default(), ..RareOfEntry::default() }.boxed(),
            mtime: env.now.wall,
            ..LogEntry::default()
        };
        self.missing.add_next_event(&entry);
        for osd in self.actingbackfill.clone() {
            if osd != self.whoami
                && self.is_backfilled_at(osd, &soid)
                && let Some(missing) = self.peers.missing.get_mut(&osd)
            {
                missing.add_next_event(&entry);
            }
        }
        self.missing_loc.recovered(&soid);
        self.missing_loc.add_active_missing(&self.missing.only(&soid));
        for (_, osd) in holders.iter().filter(|(v, _)| Some(*v) == back_to) {
            self.missing_loc.add_location(&soid, *osd);
        }
        let deleted = i64::from(back_to.is_none());
        let stats = ObjectStatSum {
            num_objects: -deleted,
            num_object_clones: if soid.is_head() { 0 } else { -deleted },
            ..ObjectStatSum::default()
        };
        self.contexts.forget(&soid);
        let log = vec![entry];
        let ws = WriteSet { txn: Transaction::new(), log, contexts: Vec::new(), stats, reply: None, effects: None };
        self.submit_write(env, None, OsdReqId::default(), ws);
    }

    /// What members hold of an object that all of them lack, newest first (Ceph: `pick_newest_available`).
    fn newest_held(&self, soid: &HObject) -> Vec<(EVersion, OsdId)> {
        let ours = self.missing.get(soid).map(|i| (i.have, self.whoami));
        let theirs = self.actingbackfill.iter().filter_map(|o| Some((self.peers.missing.get(o)?.get(soid)?.have, *o)));
        let mut held: Vec<(EVersion, OsdId)> = ours.into_iter().chain(theirs).collect();
        held.sort_by_key(|(v, _)| std::cmp::Reverse(*v));
        held
    }

    /// The version at which an object is fetched: the one needed, unless that is one to which it was reverted.
    pub(crate) fn version_to_fetch(&self, need: EVersion) -> EVersion {
        self.log.find(need).filter(|e| e.is_lost_revert()).map_or(need, |e| e.rare().reverting_to)
    }

    /// If we hold what the object was reverted to, only its version is written anew.
    pub(crate) fn revert_here(&mut self, env: &mut Env, soid: &HObject, need: EVersion) -> bool {
        let back_to = self.version_to_fetch(need);
        if back_to == need || self.missing.get(soid).is_none_or(|i| i.have != back_to) {
            return false;
        }
        let coll = self.coll();
        let raw = env.store.attr(coll, &soid.clone().into(), OI_ATTR.as_bytes());
        let Some(attr) = raw.ok().flatten().and_then(|raw| at_version(raw, need)) else { return false };
        let attrs = BTreeMap::from([(OI_ATTR.into(), attr)]);
        self.txn.push(TxOp::SetAttrs { coll, oid: soid.clone().into(), attrs });
        self.contexts.forget(soid);
        self.got(soid, need);
        self.missing_loc.add_location(soid, self.whoami);
        self.recovery.landing.insert(soid.clone());
        self.then.push(OnCommit::Recovered { reset: self.last_peering_reset, soid: soid.clone() });
        true
    }

    /// A replica, with a write that gives an object up: it lacks that as well.
    pub(crate) fn note_lost(&mut self, m: &MOSDRepOp, entries: &[LogEntry]) {
        for e in entries.iter().filter(|e| matches!(e.op, LogOp::LostRevert | LogOp::LostDelete)) {
            if e.soid <= self.info.last_backfill && e.version <= m.version {
                self.missing.add_next_event(e);
                self.contexts.forget(&e.soid);
                self.dirty.info = true;
            }
        }
    }
}

/// The attributes of an object as it is once it was reverted.
pub(crate) fn revert_attrs(attrs: &mut BTreeMap<ByteStr, Bytes>, version: EVersion) {
    if let Some(attr) = attrs.get(OI_ATTR.as_bytes()).cloned().and_then(|raw| at_version(raw, version)) {
        attrs.insert(OI_ATTR.into(), attr);
    }
}

fn at_version(raw: Bytes, version: EVersion) -> Option<Bytes> {
    let mut oi: ObjectInfo = denc::from_bytes(raw).ok()?;
    oi.prior_version = std::mem::replace(&mut oi.version, version);
    Some(denc::to_bytes(&oi, features::ALL))
}
