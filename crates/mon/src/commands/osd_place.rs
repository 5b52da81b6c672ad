//! Placement by hand: temporary mappings, upmaps, and PGs that are to peer or to be made again.

use osdmap::Release;
use types::{CRUSH_ITEM_NONE, OsdId, PgId, PgPool, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail, ids, parse_osd};
use crate::change::Space;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd pg-temp" => pg_temp,
        "osd primary-temp" => primary_temp,
        "osd pg-upmap" => upmap,
        "osd rm-pg-upmap" => rm_upmap,
        "osd pg-upmap-items" => upmap_items,
        "osd rm-pg-upmap-items" => rm_upmap_items,
        "osd force-create-pg" => force_create,
        "pg repeer" => repeer,
        _ => return None,
    })
}

/// The PG of `pgid`, whether there is one or not.
fn any_pg(c: &Cmd) -> Result<PgId, Fail> {
    let text = c.arg("pgid")?;
    text.parse().map_err(|_| Fail(errno::EINVAL, format!("invalid pgid '{text}'")))
}

fn pgid(c: &Cmd) -> Result<PgId, Fail> {
    let pg = any_pg(c)?;
    if c.mon.state.osdmap.pg_exists(pg) { Ok(pg) } else { fail(errno::ENOENT, format!("pg {pg} does not exist")) }
}

fn pool(c: &mut Cmd, pg: PgId) -> Result<PgPool, Fail> {
    let pool = c.mon.map().pool(pg.pool).cloned();
    pool.ok_or_else(|| Fail(errno::ENOENT, format!("pool of {pg} is pending removal")))
}

/// `osd.1`, `1`, and `none` as its number.
fn number(c: &Cmd, text: &str) -> Result<OsdId, Fail> {
    match parse_osd(text) {
        Some(osd) if c.mon.state.osdmap.exists(osd) || osd == CRUSH_ITEM_NONE => Ok(osd),
        Some(osd) => fail(errno::ENOENT, format!("osd.{osd} does not exist")),
        None => fail(errno::EINVAL, format!("unable to parse 'id' value(s) '{text}'")),
    }
}

fn fits(count: usize, pool: &PgPool) -> Result<(), Fail> {
    let (least, most) = (usize::from(pool.min_size), usize::from(pool.size));
    if count < least {
        return fail(errno::EINVAL, format!("num of osds ({count}) < pool min size ({least})"));
    }
    if count > most {
        return fail(errno::EINVAL, format!("num of osds ({count}) > pool size ({most})"));
    }
    Ok(())
}

fn pg_temp(c: &mut Cmd) -> CmdResult {
    let pg = pgid(c)?;
    let pool = pool(c, pg)?;
    let texts = c.args.list("id");
    if texts.is_empty() {
        c.mon.map().inc.new_pg_temp.insert(pg, vec![]);
        return Ok(Reply::says(format!("done cleaning up pg_temp of {pg}")));
    }
    let osds: Vec<OsdId> = texts.iter().map(|text| number(c, text)).collect::<Result<_, _>>()?;
    fits(osds.len(), &pool)?;
    let shown = ids(&osds);
    c.mon.map().inc.new_pg_temp.insert(pg, osds);
    Ok(Reply::says(format!("set {pg} pg_temp mapping to {shown}")))
}

fn primary_temp(c: &mut Cmd) -> CmdResult {
    let pg = pgid(c)?;
    let text = c.arg("id")?;
    let osd = if text == "-1" { -1 } else { number(c, &text)? };
    c.mon.map().inc.new_primary_temp.insert(pg, osd);
    Ok(Reply::says(format!("set {pg} primary_temp mapping to {osd}")))
}

// --- upmaps

/// The PG, if clients may be told of upmaps at all.
fn upmap_pg(c: &mut Cmd) -> Result<(PgId, PgPool), Fail> {
    let compat = c.mon.state.osdmap.require_min_compat_client;
    if compat < Release::LUMINOUS {
        let text = format!(
            "min_compat_client {compat} < luminous, which is required for pg-upmap. Try 'ceph osd \
             set-require-min-compat-client luminous' before using the new interface"
        );
        return fail(errno::EPERM, text);
    }
    let pg = pgid(c)?;
    Ok((pg, pool(c, pg)?))
}

fn upmap(c: &mut Cmd) -> CmdResult {
    let (pg, pool) = upmap_pg(c)?;
    let texts = c.args.list("id");
    fits(texts.len(), &pool)?;
    let (mut osds, mut said) = (vec![], String::new());
    for text in texts {
        let osd = number(c, &text)?;
        if osds.contains(&osd) {
            said.push_str(&format!("osd.{osd} already exists, "));
        } else {
            osds.push(osd);
        }
    }
    let shown = ids(&osds);
    let inc = &mut c.mon.map().inc;
    inc.old_pg_upmap.remove(&pg);
    inc.new_pg_upmap.insert(pg, osds);
    Ok(Reply::says(format!("{said}set {pg} pg_upmap mapping to {shown}")))
}

fn rm_upmap(c: &mut Cmd) -> CmdResult {
    let (pg, _) = upmap_pg(c)?;
    let inc = &mut c.mon.map().inc;
    inc.new_pg_upmap.remove(&pg);
    inc.old_pg_upmap.insert(pg);
    Ok(Reply::says(format!("clear {pg} pg_upmap mapping")))
}

fn upmap_items(c: &mut Cmd) -> CmdResult {
    let (pg, pool) = upmap_pg(c)?;
    let texts = c.args.list("id");
    if !texts.len().is_multiple_of(2) {
        return fail(errno::EINVAL, "you must specify pairs of osd ids to be remapped");
    }
    let (count, size) = (texts.len() / 2, usize::from(pool.size));
    if count > size {
        return fail(errno::EINVAL, format!("num of osd pairs ({count}) > pool size ({size})"));
    }
    let (mut pairs, mut said) = (vec![], String::new());
    for pair in texts.chunks(2) {
        if parse_osd(&pair[0]).is_some() && parse_osd(&pair[0]) == parse_osd(&pair[1]) {
            let osd = parse_osd(&pair[0]).unwrap_or_default();
            said.push_str(&format!("from osd.{osd} == to osd.{osd}, "));
            continue;
        }
        let pair = (number(c, &pair[0])?, number(c, &pair[1])?);
        if pairs.contains(&pair) {
            said.push_str(&format!("osd.{} -> osd.{} already exists, ", pair.0, pair.1));
        } else {
            pairs.push(pair);
        }
    }
    if pairs.is_empty() {
        return fail(errno::EINVAL, said + "no valid upmap items(pairs) is specified");
    }
    let shown: Vec<String> = pairs.iter().map(|(from, to)| format!("{from}->{to}")).collect();
    let inc = &mut c.mon.map().inc;
    inc.old_pg_upmap_items.remove(&pg);
    inc.new_pg_upmap_items.insert(pg, pairs);
    Ok(Reply::says(format!("{said}set {pg} pg_upmap_items mapping to [{}]", shown.join(","))))
}

fn rm_upmap_items(c: &mut Cmd) -> CmdResult {
    let (pg, _) = upmap_pg(c)?;
    let inc = &mut c.mon.map().inc;
    inc.new_pg_upmap_items.remove(&pg);
    inc.old_pg_upmap_items.insert(pg);
    Ok(Reply::says(format!("clear {pg} pg_upmap_items mapping")))
}

// --- PGs

fn force_create(c: &mut Cmd) -> CmdResult {
    let pg = any_pg(c)?;
    if !c.mon.state.osdmap.pg_exists(pg) {
        return fail(errno::ENOENT, format!("pg {pg} should not exist"));
    }
    if !c.args.flag("yes_i_really_mean_it") {
        let text = "This command will recreate a lost (as in data lost) PG with data in it, such that the cluster will \
                    give up ever trying to recover the lost data.  Do this only if you are certain that all copies of \
                    the PG are in fact lost and you are willing to accept that the data is permanently destroyed.  \
                    Pass --yes-i-really-mean-it to proceed.";
        return fail(errno::EPERM, format!("{text}{}", c.mon.what_goes_with_pg(pg)));
    }
    if c.mon.state.get(Space::Creating, &pg.to_string()).is_some() {
        return Ok(Reply::says(format!("pg {pg} already creating")));
    }
    let now = (c.mon.state.osdmap.epoch, c.cx.now.wall);
    c.mon.pending.put_value(Space::Creating, pg.to_string(), &now);
    if let Some(p) = c.mon.map().pool_mut(pg.pool) {
        // The OSD that makes it says so.
        p.flags |= types::pool::flag::CREATING;
    }
    Ok(Reply::says(format!("pg {pg} now creating, ok")))
}

/// Makes a new interval: the PG is served by its primary alone for a moment, or by one OSD more.
fn repeer(c: &mut Cmd) -> CmdResult {
    let pg = any_pg(c)?;
    let map = c.mon.state.osdmap.clone();
    if !map.pg_exists(pg) {
        return fail(errno::ENOENT, format!("pg '{}' does not exist", c.arg("pgid")?));
    }
    let p = map.pg_to_up_acting(pg);
    let primary = p.acting_primary;
    if primary < 0 {
        return fail(errno::EAGAIN, "pg currently has no primary");
    }
    let temp = if p.acting.len() > 1 {
        vec![primary]
    } else {
        let other = map.osds().find(|osd| *osd != primary && map.is_up(*osd));
        let none = || Fail(errno::EAGAIN, "not enough up OSDs in the cluster to force repeer".to_owned());
        vec![primary, other.ok_or_else(none)?]
    };
    c.mon.map().inc.new_pg_temp.insert(pg, temp);
    Ok(Reply::default())
}
