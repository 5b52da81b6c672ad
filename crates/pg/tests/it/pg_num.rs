//! One PG that becomes two, and two that become one. What whole clusters make of it is in `sim`.

use os::{Coll, MemStore, ObjectRead};
use pg::Pg;
use types::pool::PgMergeMeta;
use types::{GHObject, PgId, SpgId};

use crate::cluster::{Cluster, pgid, put, remove};

fn child_id() -> SpgId {
    PgId::new(1, 1).into()
}

/// One OSD whose PG has some objects.
fn cluster() -> Cluster {
    let mut c = Cluster::new(1, 1, 1);
    c.settle();
    for n in 0..12 {
        c.send_op(0, &format!("o{n}"), put("x"));
        c.settle();
    }
    c.send_op(0, "o3", remove());
    c.settle();
    c
}

fn objects(store: &MemStore, id: SpgId) -> Vec<GHObject> {
    let (all, _) = store.list(Coll::Pg(id), &GHObject::min(), 99).expect("it can be read");
    all.into_iter().filter(|o| !o.is_pgmeta()).collect()
}

fn split(c: &mut Cluster) -> Pg {
    c.set_pg_num(2, PgMergeMeta::default());
    let mut children = c.split(0);
    assert_eq!(children.len(), 1);
    children.pop().expect("just counted")
}

/// What the store has of the PG, at the newest map.
fn load(c: &mut Cluster, id: SpgId) -> Pg {
    let map = c.map();
    c.with_env(0, &map, |_, env| Pg::load(id, env).expect("it is whole"))
}

#[test]
fn a_split_shares_out_objects_log_and_counts_by_the_hash() {
    let mut c = cluster();
    let before: Vec<_> = c.pg(0).expect("the PG").log_entries().cloned().collect();
    let info = c.pg(0).expect("the PG").info().clone();
    let child = split(&mut c);
    let parent = c.pg(0).expect("the PG");
    for (pg, bit) in [(parent, 0), (&child, 1)] {
        let expected: Vec<_> = before.iter().filter(|e| e.soid.hash & 1 == bit).cloned().collect();
        assert!(!expected.is_empty());
        assert_eq!(pg.log_entries().cloned().collect::<Vec<_>>(), expected);
        assert_eq!((pg.info().last_update, pg.info().log_tail), (info.last_update, info.log_tail));
        assert_eq!(pg.info().last_complete, info.last_update);
        assert_eq!(pg.info().history.last_epoch_split, c.map().epoch);
        assert_eq!(pg.info().history.last_epoch_started, info.history.last_epoch_started);
        assert!(pg.info().stats.stats_invalid);
        let found = objects(&c.hosts[&0].live, pg.id());
        assert!(!found.is_empty() && found.iter().all(|o| o.hobj.hash & 1 == bit));
    }
    let sum = |pg: &Pg| pg.info().stats.stats.sum.num_objects;
    assert_eq!((sum(parent) + sum(&child), child.info().history.epoch_created), (11, c.map().epoch));
}

#[test]
fn a_crash_leaves_the_parent_as_it_was_or_both_as_they_are() {
    let mut c = cluster();
    c.hosts.get_mut(&0).expect("the host").slow_disk = true;
    let child = split(&mut c);
    assert!(!c.hosts[&0].durable.collection_exists(Coll::Pg(child_id())));
    assert_eq!(objects(&c.hosts[&0].durable, pgid()).len(), 11);

    c.sync(0);
    let again = load(&mut c, child_id());
    assert_eq!((again.info(), again.stored_at()), (child.info(), c.map().epoch));
    assert!(again.log_entries().eq(child.log_entries()));
    let parent = load(&mut c, pgid());
    assert_eq!((parent.info(), parent.stored_at()), (c.pg(0).expect("the PG").info(), c.map().epoch));
}

/// Merges the child back; `told`: at the versions that the monitors know.
fn merge(c: &mut Cluster, mut child: Pg, told: bool) {
    let before = c.map();
    let version = c.pg(0).expect("the PG").info().last_update;
    let source_version = if told { child.info().last_update } else { types::EVersion::new(1, 1) };
    let meta =
        PgMergeMeta { source_pgid: child_id().pgid, source_version, target_version: version, ..PgMergeMeta::default() };
    c.set_pg_num(1, meta);
    let map = c.map();
    c.with_env(0, &before, |_, env| child.leave(env));
    c.with_env(0, &map, |host, env| {
        let target = host.pg.as_mut().expect("the PG");
        target.absorb(env, &[child_id()], vec![child]).expect("the store can be read");
        assert!(target.advance_map(env).is_empty());
    });
}

#[test]
fn a_merge_joins_objects_and_counts_and_still_knows_every_request() {
    let mut c = cluster();
    let requests: Vec<_> = c.pg(0).expect("the PG").log_entries().map(|e| e.reqid).collect();
    let child = split(&mut c);
    merge(&mut c, child, true);
    let pg = c.pg(0).expect("the PG");
    assert_eq!((pg.info().last_backfill.is_max(), pg.log_entries().count()), (true, 0));
    assert_eq!((pg.info().log_tail, pg.info().last_complete), (pg.info().last_update, pg.info().last_update));
    assert_eq!(pg.info().stats.stats.sum.num_objects, 11);
    assert_eq!(objects(&c.hosts[&0].live, pgid()).len(), 11);
    assert!(!c.hosts[&0].live.collection_exists(Coll::Pg(child_id())));
    assert!(!c.hosts[&0].live.collection_exists(Coll::Temp(child_id())));
    assert!(requests.iter().all(|r| pg.knows_request(r)));
    c.settle();
    assert!(load(&mut c, pgid()).knows_request(&requests[0]));
}

#[test]
fn a_copy_that_is_not_what_the_monitors_were_told_is_filled_again() {
    let mut c = cluster();
    let child = split(&mut c);
    merge(&mut c, child, false);
    assert!(c.pg(0).expect("the PG").info().last_backfill.is_min());
}

#[test]
fn a_half_that_is_not_here_makes_an_empty_target_of_the_other() {
    let mut c = cluster();
    let mut child = split(&mut c);
    let before = c.map();
    c.with_env(0, &before, |_, env| child.leave(env));
    // As if this OSD had the source only: its objects go where the target's would be.
    let target = PgId::new(1, 0);
    c.set_pg_num(1, PgMergeMeta { source_pgid: child_id().pgid, last_epoch_clean: 3, ..PgMergeMeta::default() });
    let map = c.map();
    let host = c.hosts.get_mut(&0).expect("the host");
    let mut gone = os::Transaction::new();
    for oid in host.live.list(Coll::Pg(pgid()), &GHObject::min(), 99).expect("readable").0 {
        gone.push(os::TxOp::Remove { coll: Coll::Pg(pgid()), oid });
    }
    gone.push(os::TxOp::RmColl { coll: Coll::Pg(pgid()) });
    gone.push(os::TxOp::RmColl { coll: Coll::Temp(pgid()) });
    host.live.apply(&gone).expect("it was empty");
    host.pg = None;
    let pg = c.with_env(0, &before, |_, env| Pg::placeholder(target.into(), env));
    let pg = c.with_env(0, &map, |_, env| {
        let mut pg = pg;
        pg.absorb(env, &[child_id()], vec![child]).expect("the store can be read");
        pg.advance_map(env);
        pg
    });
    assert!(pg.info().last_backfill.is_min() && !pg.info().dne());
    assert!(!objects(&c.hosts[&0].live, pgid()).is_empty());
}
