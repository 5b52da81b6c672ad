//! Snapshots of a pool: making, listing, looking at and going back to them.

use ::rados::{PoolOp, Reply, Request};
use types::dump::Dump;
use types::{ObjListSnapResponse, SNAP_HEAD, SnapId};

use super::object::decoded;
use super::{Ctx, Failure, Outcome, failed};

pub(super) fn knows(command: &str) -> bool {
    matches!(command, "lssnap" | "mksnap" | "rmsnap" | "rollback" | "listsnaps")
}

pub(super) fn run(ctx: &mut Ctx, command: &str) -> Outcome {
    match command {
        "lssnap" => lssnap(ctx),
        "rollback" => rollback(ctx),
        "listsnaps" => listsnaps(ctx),
        _ => change(ctx, command == "mksnap"),
    }
}

/// The number of a snapshot of the pool.
pub(super) fn find(ctx: &mut Ctx, name: &str) -> Result<Result<SnapId, i32>, Failure> {
    let map = ctx.session.latest_map()?;
    Ok(map.pool(ctx.pool).and_then(|p| p.snap_by_name(name)).ok_or(types::errno::ENOENT))
}

fn lssnap(ctx: &mut Ctx) -> Outcome {
    let map = ctx.session.latest_map()?;
    let snaps = map.pool(ctx.pool).map(|p| p.snaps.clone()).unwrap_or_default();
    for (id, snap) in &snaps {
        let (year, month, day, h, m, s) = snap.stamp.civil();
        outln!("{id}\t{}\t{year:04}.{month:02}.{day:02} {h:02}:{m:02}:{s:02}", snap.name);
    }
    outln!("{} snaps", snaps.len());
    Ok(())
}

fn change(ctx: &mut Ctx, make: bool) -> Outcome {
    let (name, pool) = (ctx.word(0, "a snapshot's name")?, ctx.pool_name.clone());
    if make && ctx.session.latest_map()?.pool(ctx.pool).is_some_and(|p| p.is_unmanaged_snaps_mode()) {
        return Err(Failure(format!("can't create snapshot: pool {pool} is in selfmanaged snaps mode"), 1));
    }
    let (op, doing) = if make { (PoolOp::CreateSnap, "creating") } else { (PoolOp::DeleteSnap, "removing") };
    let error = |errno| failed(format!("error {doing} pool {pool} snapshot {name}"), errno);
    // As librados does: the monitors find nothing wrong with a snapshot that is there, or gone, already.
    match (make, find(ctx, &name)?) {
        (true, Ok(_)) => return Err(error(types::errno::EEXIST)),
        (false, Err(errno)) => return Err(error(errno)),
        _ => {}
    }
    match ctx.session.call(Request::PoolOp { pool: ctx.pool, op, name: name.clone(), snap: 0 })? {
        Reply::Failed(errno) => return Err(error(errno)),
        _ if make => outln!("created pool {pool} snap {name}"),
        _ => outln!("removed pool {pool} snap {name}"),
    }
    Ok(())
}

fn rollback(ctx: &mut Ctx) -> Outcome {
    let (oid, name) = (ctx.word(0, "an object's name")?, ctx.word(1, "a snapshot's name")?);
    let pool = ctx.pool_name.clone();
    // Ceph's program names the object where the snapshot's name should be.
    let error =
        |errno| Failure(format!("error rolling back pool {pool} to snapshot {oid}{}", super::strerror(errno)), 1);
    let snap = find(ctx, &name)?.map_err(error)?;
    let op = ctx.object(&oid).rollback(snap);
    ctx.session.op(op)?.ok().map_err(error)?;
    outln!("rolled back pool {pool} to snapshot {name}");
    Ok(())
}

fn listsnaps(ctx: &mut Ctx) -> Outcome {
    let oid = ctx.word(0, "an object's name")?;
    let what = format!("error listing snap shots {}/{oid}", ctx.pool_name);
    let op = ctx.object(&oid).list_snaps();
    let reply = ctx.run(op, &what)?;
    let found: ObjListSnapResponse = decoded(&reply, 0, &what)?;
    if let Some(format) = ctx.o.format {
        let map = ctx.session.latest_map()?;
        let names = map.pool(ctx.pool).map(|p| p.snaps.clone()).unwrap_or_default();
        let snapshot = |id: &SnapId| {
            let one = Dump::obj().with("id", *id);
            names.get(id).map_or(one.clone(), |snap| one.with("name", &snap.name[..]))
        };
        let clones = found.clones.iter().map(|c| {
            let head = c.cloneid == SNAP_HEAD;
            let id = if head { Dump::from("head") } else { Dump::from(c.cloneid) };
            let mut one = Dump::obj()
                .with("id", id)
                .with("snapshots", Dump::arr("snapshot", c.snaps.iter().map(snapshot)))
                .with("size", c.size);
            if !head {
                let part = |(start, length): &(u64, u64)| Dump::obj().with("start", *start).with("length", *length);
                one.put("overlaps", Dump::arr("section", c.overlap.iter().map(part)));
            }
            one
        });
        let all = Dump::obj().with("name", &oid[..]).with("clones", Dump::arr("clone", clones));
        out!("{}", all.render(format, "object"));
        return Ok(());
    }
    outln!("{oid}:\ncloneid\tsnaps\tsize\toverlap");
    let joined = |parts: Vec<String>| parts.join(",");
    for c in &found.clones {
        let id = if c.cloneid == SNAP_HEAD { "head".to_owned() } else { c.cloneid.to_string() };
        let snaps = joined(c.snaps.iter().map(ToString::to_string).collect());
        let snaps = if snaps.is_empty() { "-".to_owned() } else { snaps };
        out!("{id}\t{snaps}\t{}", c.size);
        if c.cloneid != SNAP_HEAD {
            outln!("\t[{}]", joined(c.overlap.iter().map(|(o, l)| format!("{o}~{l}")).collect()));
        }
    }
    outln!();
    Ok(())
}
