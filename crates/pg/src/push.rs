//! Objects in pieces: what a source reads and sends, and what a receiver makes of it
//! (Ceph: `ReplicatedBackend::build_push_op`, `submit_push_data`, `handle_pull`, `handle_push`).
//!
//! A piece is data from where the last one ended, at most `osd_recovery_max_chunk` bytes, with omap
//! entries, and with the attributes in the first one. An object that comes in one piece is written in
//! place; one of several is put together in the temp collection and moved when it is whole, so that
//! an interrupted transfer leaves what was there before.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::ByteStr;
use messages::{
    MOSDPGPull, MOSDPGPush, MOSDPGPushReply, ObjectRecoveryInfo, ObjectRecoveryProgress, PushOp, PushReplyOp,
};
use node::{Level, Token};
use os::{Coll, ReadError, TxOp};
use types::{GHObject, HObject, IntervalSet, LogEntry, ObjectInfo, OsdId, PgShard, SnapSet, op_flag};

use crate::env::{Env, PgOutput};
use crate::lost::revert_attrs;
use crate::object::{OI_ATTR, SS_ATTR};
use crate::pg::{OnCommit, Pg, Phase};

/// An object on its way, and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transfer {
    pub info: ObjectRecoveryInfo,
    pub progress: ObjectRecoveryProgress,
}

/// A piece to be read and sent.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub to: OsdId,
    pub transfer: Transfer,
}

impl Piece {
    /// What of the data is next: no more than one range of what is wanted, nor than a chunk.
    fn range(&self, chunk: u64) -> (u64, u64) {
        let from = self.transfer.progress.data_recovered_to;
        let wanted = self.transfer.info.copy_subset.iter().find(|(off, len)| off.saturating_add(*len) > from);
        let Some((off, len)) = wanted else { return (from, 0) };
        let (start, end) = (off.max(from), off.saturating_add(len));
        (start, (end - start).min(chunk.max(1)))
    }
}

impl Pg {
    // --- the source

    /// What there is to send of an object. `None` if it cannot be read.
    pub(crate) fn push_info(&self, env: &mut Env, soid: &HObject) -> Option<ObjectRecoveryInfo> {
        let (coll, oid) = (self.coll(), GHObject::from(soid.clone()));
        let found = (|| {
            let Some(stat) = env.store.stat(coll, &oid)? else { return Ok(None) };
            let Some(raw) = env.store.attr(coll, &oid, OI_ATTR.as_bytes())? else { return Ok(None) };
            let ss = env.store.attr(coll, &oid, SS_ATTR.as_bytes())?;
            Ok::<_, ReadError>(Some((stat.size, raw, ss)))
        })();
        let (size, raw, ss) = match found {
            Ok(found) => found?,
            Err(e) => {
                env.cluster_log(Level::Error, format!("{} cannot read {soid} to recover it: {e}", self.id.pgid));
                return None;
            }
        };
        let oi: ObjectInfo = denc::from_bytes(raw).ok()?;
        let ss = match soid.is_snap() {
            true => self.family(env, soid),
            false => ss.and_then(|raw| denc::from_bytes::<SnapSet>(raw).ok()).unwrap_or_default(),
        };
        let copy_subset = if size > 0 { IntervalSet::from_iter([(0, size)]) } else { IntervalSet::new() };
        let version = oi.version;
        Some(ObjectRecoveryInfo {
            soid: soid.clone(),
            version,
            size,
            oi,
            ss,
            copy_subset,
            clone_subset: BTreeMap::new(),
            object_exist: false,
        })
    }

    /// Reads a piece's data, or sends it at once if there is none.
    pub(crate) fn start_piece(&mut self, env: &mut Env, piece: Piece) {
        let (off, len) = piece.range(env.cfg.recovery_max_chunk);
        if len == 0 {
            return self.send_piece(env, piece, Bytes::new());
        }
        let token = env.tokens.next();
        let (coll, oid) = (self.coll(), piece.transfer.info.soid.clone().into());
        env.out.push(PgOutput::Read { token, coll, oid, off, len, fresh: false });
        self.recovery.pieces.insert(token, piece);
    }

    pub(crate) fn piece_read(&mut self, env: &mut Env, token: Token, result: Result<Option<Bytes>, ReadError>) {
        let Some(piece) = self.recovery.pieces.remove(&token) else { return };
        match result {
            Ok(data) => self.send_piece(env, piece, data.unwrap_or_default()),
            Err(e) => self.source_failed(env, piece, &e),
        }
    }

    /// A piece with its metadata goes out.
    fn send_piece(&mut self, env: &mut Env, piece: Piece, data: Bytes) {
        match self.build_push(env, &piece, data) {
            Ok(push) => {
                if let Some(t) = self.recovery.pushes.get_mut(&push.soid).and_then(|all| all.get_mut(&piece.to)) {
                    t.progress = push.after_progress.clone();
                }
                self.send_push(env, piece.to, push);
            }
            Err(e) => self.source_failed(env, piece, &e),
        }
    }

    fn build_push(&self, env: &Env, piece: &Piece, data: Bytes) -> Result<PushOp, ReadError> {
        let Transfer { info, progress: before } = &piece.transfer;
        let (coll, oid) = (self.coll(), GHObject::from(info.soid.clone()));
        let mut after = ObjectRecoveryProgress { first: false, ..before.clone() };
        let mut push = PushOp {
            soid: info.soid.clone(),
            version: info.version,
            recovery_info: info.clone(),
            before_progress: before.clone(),
            ..PushOp::default()
        };
        if before.first {
            push.attrset = env.store.attrs(coll, &oid)?.unwrap_or_default();
            push.omap_header = env.store.omap_header(coll, &oid)?;
        }
        if !before.omap_complete {
            self.add_omap(env, &oid, &mut push.omap_entries, &mut after)?;
        }
        let (off, len) = piece.range(env.cfg.recovery_max_chunk);
        // The file may end in a hole that was not read.
        if !data.is_empty() {
            push.data_included.insert(off, data.len() as u64);
        }
        after.data_recovered_to = off + len;
        after.data_complete = info.copy_subset.range_end().is_none_or(|end| after.data_recovered_to >= end);
        push.data = data;
        push.after_progress = after;
        Ok(push)
    }

    fn add_omap(
        &self,
        env: &Env,
        oid: &GHObject,
        entries: &mut BTreeMap<ByteStr, Bytes>,
        after: &mut ObjectRecoveryProgress,
    ) -> Result<(), ReadError> {
        let max = env.cfg.recovery_max_omap_entries_per_chunk.max(1);
        let coll = self.coll();
        let from = after.omap_recovered_to.clone();
        let mut pairs: Vec<(ByteStr, Bytes)> = Vec::new();
        let mut from_key = None;
        if !from.is_empty() {
            pairs.extend(env.store.omap_values(coll, oid, std::slice::from_ref(&from))?);
            from_key = Some(from.as_bytes());
        }
        let (rest, mut more) = env.store.omap_range(coll, oid, from_key, max + 1)?;
        pairs.extend(rest);
        let mut left = env.cfg.recovery_max_chunk;
        for (key, value) in pairs {
            let size = (key.len() + value.len()) as u64;
            if entries.len() >= max || size > left && !entries.is_empty() {
                // The first one that is not there yet.
                after.omap_recovered_to = key;
                more = true;
                break;
            }
            left = left.saturating_sub(size);
            entries.insert(key, value);
        }
        after.omap_complete = !more;
        Ok(())
    }

    fn send_push(&self, env: &mut Env, to: OsdId, push: PushOp) {
        let m = MOSDPGPush {
            from: PgShard::from(self.whoami),
            pgid: self.id,
            map_epoch: self.map.epoch,
            min_epoch: self.last_peering_reset,
            cost: push.data.len() as u64,
            is_repair: self.is_primary() && self.scrub.is_mending(&push.soid),
            pushes: vec![push],
        };
        env.send_osd(to, m);
    }

    /// We cannot read what we should send.
    fn source_failed(&mut self, env: &mut Env, piece: Piece, why: &ReadError) {
        let soid = &piece.transfer.info.soid;
        env.cluster_log(Level::Error, format!("{} cannot read {soid} to recover it: {why}", self.id.pgid));
        if self.is_primary() {
            self.recovery.pushes.remove(soid);
            if !self.mend_at_read(env, soid) {
                match self.scrub.is_mending(soid) {
                    true => self.unmend(env, soid, "the sound copy could not be read"),
                    false => self.lose_own_copy(soid),
                }
            }
            self.give_up(env, soid);
        } else {
            // A push without a version says that we do not have it.
            let push = PushOp { soid: soid.clone(), ..PushOp::default() };
            self.send_push(env, piece.to, push);
        }
    }

    /// The primary asks for pieces.
    pub(crate) fn on_pull(&mut self, env: &mut Env, from: OsdId, m: MOSDPGPull) {
        let serves = matches!(self.phase, Phase::ReplicaActive(_) | Phase::Stray);
        if self.is_stale(from, m.map_epoch) || !serves || from != self.ua.acting_primary {
            return;
        }
        for pull in m.pulls {
            let soid = pull.soid;
            let here = self.push_info(env, &soid).filter(|i| i.version == pull.recovery_info.version);
            match here {
                Some(mut info) => {
                    info.copy_subset.intersection_of(&pull.recovery_info.copy_subset);
                    let progress = pull.recovery_progress;
                    self.start_piece(env, Piece { to: from, transfer: Transfer { info, progress } });
                }
                None => self.send_push(env, from, PushOp { soid, ..PushOp::default() }),
            }
        }
    }

    // --- the receiver

    /// Pieces arrive: at a replica because the primary pushes, at the primary because it pulled.
    pub(crate) fn on_push(&mut self, env: &mut Env, from: OsdId, m: MOSDPGPush) {
        if self.is_stale(from, m.map_epoch) {
            return;
        }
        match self.phase {
            Phase::Active(_) => {
                for push in m.pushes {
                    self.pull_answered(env, from, push);
                }
            }
            Phase::ReplicaActive(_) if from == self.ua.acting_primary => self.pushed_to_us(env, from, m),
            _ => (),
        }
    }

    fn pull_answered(&mut self, env: &mut Env, from: OsdId, mut push: PushOp) {
        let soid = push.soid.clone();
        let need = self.missing.get(&soid).map(|item| item.need).unwrap_or_default();
        if push.version.is_zero() && self.push_refused(env, from, &soid) {
            return;
        }
        let Some((source, transfer)) = self.recovery.pulls.get_mut(&soid) else { return };
        if *source != from || push.before_progress != transfer.progress && !push.version.is_zero() {
            return;
        }
        // One that is as bad as ours would be fetched again and again.
        let is_no_better = self.scrub.is_mending(&soid) && push.before_progress.first && !has_sound_attrs(&push);
        if push.version.is_zero() || !is_sane(&push) || is_no_better {
            return self.pull_failed(env, &soid, from);
        }
        transfer.progress = push.after_progress.clone();
        if push.before_progress.first {
            // Where we know the family, what we take from it is our decision.
            let ours = &transfer.info;
            let known = ours.size != u64::MAX;
            let theirs = push.recovery_info.clone();
            transfer.info = ObjectRecoveryInfo {
                version: ours.version,
                ss: if known { ours.ss.clone() } else { theirs.ss },
                clone_subset: ours.clone_subset.clone(),
                ..theirs
            };
        }
        let reverted = self.log.find(need).is_some_and(LogEntry::is_lost_revert);
        if reverted {
            revert_attrs(&mut push.attrset, need);
        }
        let version = if reverted { need } else { transfer.info.version };
        let size = transfer.info.size;
        let next = transfer.clone();
        if push.after_progress.is_complete() && !self.still_shared(env, &next.info) {
            self.recovery.pulls.remove(&soid);
            if !self.start_pull(env, &soid, version, false) {
                self.give_up(env, &soid);
            }
            return;
        }
        if self.write_piece(push, &next.info) {
            self.pulled(&soid, version, size);
        } else {
            self.send_pull(env, from, &soid, &next);
        }
    }

    /// A target lacks what we left out of a push, because it should have it in a clone: it gets the whole.
    fn push_refused(&mut self, env: &mut Env, by: OsdId, soid: &HObject) -> bool {
        let Some(transfer) = self.recovery.pushes.get_mut(soid).and_then(|all| all.get_mut(&by)) else { return false };
        if transfer.info.clone_subset.is_empty() {
            return true;
        }
        let size = transfer.info.size;
        transfer.info.clone_subset.clear();
        transfer.info.copy_subset = if size > 0 { IntervalSet::from_iter([(0, size)]) } else { IntervalSet::new() };
        transfer.progress = ObjectRecoveryProgress { first: true, ..ObjectRecoveryProgress::default() };
        let piece = Piece { to: by, transfer: transfer.clone() };
        self.recovery.pieces.retain(|_, p| p.to != by || p.transfer.info.soid != *soid);
        self.start_piece(env, piece);
        true
    }

    fn pushed_to_us(&mut self, env: &mut Env, from: OsdId, m: MOSDPGPush) {
        let mut replies = Vec::new();
        for push in m.pushes {
            if !is_sane(&push) || !self.has_clones(env, &push.recovery_info) {
                let text = format!("{} push of {} from osd.{from} makes no sense", self.id.pgid, push.soid);
                env.cluster_log(Level::Error, text);
                // It may be ours that is at fault: a clone that we are said to have is gone.
                self.send_push(env, from, PushOp { soid: push.soid, ..PushOp::default() });
                continue;
            }
            let (soid, version) = (push.soid.clone(), push.recovery_info.version);
            let info = push.recovery_info.clone();
            if self.write_piece(push, &info) {
                self.got(&soid, version);
                if m.is_repair {
                    env.scrubs.note_mended(self.id);
                }
            }
            replies.push(PushReplyOp { soid });
        }
        let reply = MOSDPGPushReply {
            from: PgShard::from(self.whoami),
            pgid: self.id,
            map_epoch: m.map_epoch,
            min_epoch: m.min_epoch,
            replies,
            cost: 0,
        };
        let after = Some(self.submit_recovered(env));
        env.out.push(PgOutput::ToOsd { osd: from, msg: reply.into(), after });
    }

    /// Submits what a replica recovered, and remembers how far it is complete then.
    pub(crate) fn submit_recovered(&mut self, env: &mut Env) -> Token {
        let (reset, version) = (self.last_peering_reset, self.info.last_complete);
        self.then.push(OnCommit::CompleteTo { reset, version });
        self.write_metadata();
        self.submit(env)
    }

    /// A replica has a piece on disk: the next one, or done.
    pub(crate) fn on_push_reply(&mut self, env: &mut Env, from: OsdId, m: MOSDPGPushReply) {
        if self.is_stale(from, m.map_epoch) || !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        for PushReplyOp { soid } in m.replies {
            let Some(transfer) = self.recovery.pushes.get_mut(&soid).and_then(|all| all.get_mut(&from)) else {
                continue;
            };
            if transfer.progress.data_complete && transfer.progress.omap_complete {
                self.pushed(env, &soid, from);
            } else {
                let piece = Piece { to: from, transfer: transfer.clone() };
                self.start_piece(env, piece);
            }
        }
    }

    /// Adds a piece to the transaction under way; whether the object is whole with it.
    fn write_piece(&mut self, push: PushOp, info: &ObjectRecoveryInfo) -> bool {
        let (before, after) = (&push.before_progress, &push.after_progress);
        let whole = after.is_complete();
        let (dest_coll, dest) = (self.coll(), GHObject::from(push.soid.clone()));
        let one_piece = before.first && whole;
        let coll = if one_piece { dest_coll } else { Coll::Temp(self.id) };
        let oid = dest.clone();
        if before.first {
            self.txn.push(TxOp::Remove { coll, oid: oid.clone() });
            self.txn.push(TxOp::Touch { coll, oid: oid.clone() });
            let size = info.size;
            self.txn.push(TxOp::Truncate { coll, oid: oid.clone(), size });
            if !push.omap_header.is_empty() {
                self.txn.push(TxOp::OmapSetHeader { coll, oid: oid.clone(), header: push.omap_header });
            }
            self.txn.push(TxOp::SetAttrs { coll, oid: oid.clone(), attrs: push.attrset });
        }
        let mut at = 0;
        for (off, len) in push.data_included.iter() {
            let data = push.data.slice(at..at + len as usize);
            at += len as usize;
            self.txn.push(TxOp::Write { coll, oid: oid.clone(), off, data, fadvise: op_flag::FADVISE_DONTNEED });
        }
        if !push.omap_entries.is_empty() {
            self.txn.push(TxOp::OmapSet { coll, oid: oid.clone(), keys: push.omap_entries });
        }
        if whole && !one_piece {
            self.txn.push(TxOp::Remove { coll: dest_coll, oid: dest.clone() });
            self.txn.push(TxOp::MoveRename { coll, oid: oid.clone(), dest_coll, dest });
            self.temp_objects.remove(&push.soid);
        } else if !one_piece {
            self.temp_objects.insert(push.soid.clone());
        }
        if whole {
            self.take_from_clones(info);
            self.snap_map.note_recovered(&push.soid, &info.ss);
        }
        self.contexts.forget(&push.soid);
        whole
    }

    /// Half-transferred objects are of no use to anyone.
    pub(crate) fn clear_temp(&mut self) {
        let coll = Coll::Temp(self.id);
        for soid in std::mem::take(&mut self.temp_objects) {
            self.txn.push(TxOp::Remove { coll, oid: soid.into() });
        }
    }
}

/// Whether what the object's attributes say of it can be read.
fn has_sound_attrs(push: &PushOp) -> bool {
    let raw = |name: &str| push.attrset.get(name.as_bytes()).cloned();
    let info = raw(OI_ATTR).is_some_and(|raw| denc::from_bytes::<ObjectInfo>(raw).is_ok());
    info && raw(SS_ATTR).is_none_or(|raw| push.soid.is_snap() || denc::from_bytes::<SnapSet>(raw).is_ok())
}

/// Whether the data matches what the piece says of it.
fn is_sane(push: &PushOp) -> bool {
    let included: u128 = push.data_included.iter().map(|(_, len)| u128::from(len)).sum();
    let end = push.data_included.iter().map(|(off, len)| off.saturating_add(len)).max().unwrap_or(0);
    included == push.data.len() as u128
        && end <= os::OBJECT_SIZE_MAX
        && push.recovery_info.size <= os::OBJECT_SIZE_MAX
        && push.soid == push.recovery_info.soid
}
