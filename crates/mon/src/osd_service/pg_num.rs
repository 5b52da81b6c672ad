//! A pool's `pg_num` and `pgp_num` change: in the steps that the manager takes ([`mgr::adjust`]), and, for a
//! merge, when the OSDs are ready (Ceph: `OSDMonitor::prepare_command_pool_set`, `prepare_pg_ready_to_merge`).

use messages::MOSDPGReadyToMerge;
use mgr::adjust::{Limits, Step, steps};
use node::ConnId;
use types::{PoolId, errno, pool};

use super::pools::PoolError;
use crate::change::Space;
use crate::core::Mon;

impl Mon {
    pub(crate) fn pg_num_in_range(&self, n: i64) -> Result<u32, PoolError> {
        let most = self.config.u64("mon_max_pool_pg_num");
        let fits = u32::try_from(n).ok().filter(|n| *n > 0 && u64::from(*n) <= most);
        fits.ok_or_else(|| {
            let text = format!(
                "'pg_num' must be greater than 0 and less than or equal to {most} \
                 (you may adjust 'mon max pool pg num' for higher values)"
            );
            (errno::ERANGE, text)
        })
    }

    /// `osd pool set POOL pg_num_actual N`: splits at once, or begins the merge of one PG.
    ///
    /// # Errors
    /// With Ceph's numbers.
    pub(crate) fn set_pg_num_actual(&mut self, id: PoolId, n: i64) -> Result<(), PoolError> {
        let Some(p) = self.map().pool(id).cloned() else { return Err((errno::ENOENT, "no such pool".to_owned())) };
        if n == i64::from(p.pg_num) {
            return Ok(());
        }
        let n = self.pg_num_in_range(n)?;
        if p.has_flag(pool::flag::CREATING) {
            return Err((errno::EBUSY, "cannot adjust pg_num while initial PGs are being created".to_owned()));
        }
        if n < p.pgp_num {
            return Err((errno::EINVAL, format!("specified pg_num {n} < pgp_num {}", p.pgp_num)));
        }
        if n + 1 < p.pg_num {
            let text = format!(
                "specified pg_num {n} < pg_num ({}) - 1; only single pg decrease is currently supported",
                p.pg_num
            );
            return Err((errno::EINVAL, text));
        }
        let epoch = self.map().epoch();
        let p = self.map().pool_mut(id).expect("it was just there");
        if n > p.pg_num {
            if p.pg_num != p.pg_num_pending {
                p.last_force_op_resend_prenautilus = epoch;
            }
            p.pg_num = n;
        } else {
            p.last_force_op_resend_prenautilus = epoch;
        }
        // Clients that do not know of splits, or of merges to come, send again what they have under way.
        p.pg_num_pending = n;
        p.last_force_op_resend_preluminous = epoch;
        Ok(())
    }

    /// `osd pool set POOL pgp_num_actual N`
    ///
    /// # Errors
    /// With Ceph's numbers.
    pub(crate) fn set_pgp_num_actual(&mut self, id: PoolId, n: i64) -> Result<(), PoolError> {
        let Some(p) = self.map().pool_mut(id) else { return Err((errno::ENOENT, "no such pool".to_owned())) };
        let refuse = |text: String| Err((errno::EINVAL, text));
        if p.has_flag(pool::flag::NOPGCHANGE) {
            let text = "pool pgp_num change is disabled; you must unset nopgchange flag for the pool first";
            return Err((errno::EPERM, text.to_owned()));
        }
        match u32::try_from(n).unwrap_or(0) {
            0 => refuse(format!("specified pgp_num must > 0, but you set to {n}")),
            n if n > p.pg_num => refuse(format!("specified pgp_num {n} > pg_num {}", p.pg_num)),
            n if n > p.pg_num_pending => refuse(format!("specified pgp_num {n} > pg_num_pending {}", p.pg_num_pending)),
            n => {
                p.pgp_num = n;
                Ok(())
            }
        }
    }

    /// Lets the manager take its next steps.
    pub(crate) fn adjust_pools(&mut self) {
        let limits = Limits {
            max_creating: self.config.u64("mon_osd_max_creating_pgs") as u32,
            max_misplaced: self.config.f64("target_max_misplaced_ratio"),
            aggressive: self.config.bool("mgr_debug_aggressive_pg_num_changes"),
        };
        let map = self.state.osdmap.clone();
        if self.mgr.is_stopped() {
            return;
        }
        for step in steps(&self.mgr.stats, &map, limits) {
            // What is refused now is tried again with the next map.
            let _ = match step {
                Step::PgNum(id, n) => self.set_pg_num_actual(id, n.into()),
                Step::PgpNum(id, n) => self.set_pgp_num_actual(id, n.into()),
                Step::ClearUpmap(pg) => {
                    let inc = &mut self.map().inc;
                    inc.old_pg_upmap.extend(map.pg_upmap.get(&pg).map(|_| pg));
                    inc.old_pg_upmap_items.extend(map.pg_upmap_items.get(&pg).map(|_| pg));
                    Ok(())
                }
            };
        }
    }

    /// A primary says that two PGs can be merged, or cannot.
    pub(super) fn osd_ready_to_merge(&mut self, conn: ConnId, m: &MOSDPGReadyToMerge) {
        if self.reporter(conn).is_none() {
            return;
        }
        let id = m.pgid.pool;
        let epoch = self.map().epoch();
        let Some(p) = self.map().pool(id) else { return };
        if p.pg_num != m.pgid.seed.saturating_add(1) || p.pg_num_pending > m.pgid.seed {
            return;
        }
        let p = self.map().pool_mut(id).expect("it was just there");
        if m.ready {
            p.pg_num -= 1;
            p.last_pg_merge_meta = pool::PgMergeMeta {
                source_pgid: m.pgid,
                ready_epoch: epoch,
                last_epoch_started: m.last_epoch_started,
                last_epoch_clean: m.last_epoch_clean,
                source_version: m.source_version,
                target_version: m.target_version,
            };
        } else {
            p.pg_num_pending = p.pg_num;
        }
        p.last_force_op_resend_prenautilus = epoch;
        if m.ready {
            self.forget_merged(m.pgid);
        }
    }

    /// What the map says of a PG that is no more.
    fn forget_merged(&mut self, pg: types::PgId) {
        let base = self.state.osdmap.clone();
        let inc = &mut self.map().inc;
        inc.new_pg_temp.remove(&pg);
        inc.new_primary_temp.remove(&pg);
        if base.pg_temp.contains_key(&pg) {
            inc.new_pg_temp.insert(pg, Vec::new());
        }
        if base.primary_temp.contains_key(&pg) {
            inc.new_primary_temp.insert(pg, -1);
        }
        inc.old_pg_upmap.extend(base.pg_upmap.get(&pg).map(|_| pg));
        inc.old_pg_upmap_items.extend(base.pg_upmap_items.get(&pg).map(|_| pg));
    }

    /// A pool whose PGs are all made is no longer new (Ceph: `FLAG_CREATING`).
    pub(super) fn check_creating(&mut self) {
        let base = self.state.osdmap.clone();
        let is_new = |p: &types::PgPool| p.has_flag(pool::flag::CREATING);
        for (id, _) in base.pools.iter().filter(|(_, p)| is_new(p)) {
            let prefix = format!("{id}.");
            let next = self.state.space_from(Space::Creating, &prefix).next();
            if next.is_none_or(|(key, _)| !key.starts_with(&prefix))
                && let Some(p) = self.map().pool_mut(*id)
            {
                p.flags &= !pool::flag::CREATING;
            }
        }
    }
}
