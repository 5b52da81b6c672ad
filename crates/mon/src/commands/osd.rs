//! Commands that look at the OSD map.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use denc::ByteStr;
use osdmap::{OsdMap, TreeFilter};
use types::dump::{Dump, Format};
use types::{EntityAddr, Epoch, OsdId, UTime, errno, pool};

use super::{Cmd, CmdResult, Fail, Handler, Reply, age, fail, ids};
use crate::change::Space;
use crate::core::Mon;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd stat" => stat,
        "osd dump" => dump,
        "osd info" => info,
        "osd ls" => ls,
        "osd tree" | "osd tree-from" => tree,
        "osd ls-tree" => ls_tree,
        "osd getmap" => getmap,
        "osd getcrushmap" => getcrushmap,
        "osd getmaxosd" => getmaxosd,
        "osd find" => find,
        "osd metadata" => metadata,
        "osd count-metadata" => count_metadata,
        "osd versions" => versions,
        "osd numa-status" => numa_status,
        "osd map" => map_object,
        "pg map" => map_pg,
        "osd lspools" => lspools,
        "osd blocklist ls" | "osd blacklist ls" => blocklist_ls,
        "osd get-require-min-compat-client" => min_compat,
        "osd utilization" => utilization,
        "osd erasure-code-profile ls" => profile_ls,
        "osd erasure-code-profile get" => profile_get,
        "osd last-stat-seq" => last_stat_seq,
        _ => return None,
    })
}

/// The map that `--epoch` asks for, or the present one.
pub fn map_at(c: &Cmd) -> Result<Arc<OsdMap>, Fail> {
    let Some(epoch) = c.args.i64("epoch").filter(|e| *e > 0) else { return Ok(c.mon.state.osdmap.clone()) };
    let there_is_no = || Fail(errno::ENOENT, format!("there is no map for epoch {epoch}"));
    let epoch = Epoch::try_from(epoch).map_err(|_| there_is_no())?;
    let full = c.mon.state.full_map(c.cx.store, epoch).map_err(|e| Fail(errno::EIO, e.to_string()))?;
    let map = denc::from_bytes::<OsdMap>(full.ok_or_else(there_is_no)?);
    map.map(Arc::new).map_err(|e| Fail(errno::EIO, e.to_string()))
}

fn stat(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let now = c.now().wall;
    Ok(c.dump_or(
        "osdmap",
        || osdmap_summary(&map),
        || format!("{}; epoch: e{}{}", osd_counts(&map, now), map.epoch, flags_line(&map)),
    ))
}

fn flags_line(map: &OsdMap) -> String {
    let shown = shown_flags(map);
    if shown.is_empty() { "\n".to_owned() } else { format!("\nflags {shown}\n") }
}

/// Flags that people should see (Ceph: `get_flag_string` without those that every cluster has).
pub fn shown_flags(map: &OsdMap) -> String {
    let always = osdmap::flag::SORTBITWISE
        | osdmap::flag::RECOVERY_DELETES
        | osdmap::flag::PURGED_SNAPDIRS
        | osdmap::flag::PGLOG_HARDLIMIT;
    osdmap::flag::string(map.flags & !always)
}

/// The map in numbers, for `osd stat` and `status`.
pub fn osdmap_summary(map: &OsdMap) -> Dump {
    let remapped = map.pg_temp.len();
    Dump::obj()
        .with("epoch", map.epoch)
        .with("num_osds", map.num_osds())
        .with("num_up_osds", map.num_up_osds())
        .with("osd_up_since", map.last_up_change.sec)
        .with("num_in_osds", map.num_in_osds())
        .with("osd_in_since", map.last_in_change.sec)
        .with("num_remapped_pgs", remapped)
}

/// `3 osds: 3 up (since 2m), 3 in (since 5m)`.
pub fn osd_counts(map: &OsdMap, now: types::UTime) -> String {
    let since = |t: types::UTime| if t.is_zero() { String::new() } else { format!(" (since {})", age(now.since(t))) };
    format!(
        "{} osds: {} up{}, {} in{}",
        map.num_osds(),
        map.num_up_osds(),
        since(map.last_up_change),
        map.num_in_osds(),
        since(map.last_in_change)
    )
}

fn dump(c: &mut Cmd) -> CmdResult {
    let map = map_at(c)?;
    Ok(c.dump_or("osdmap", || map.dump(), || without_blank_lines(&map.print())))
}

/// `osdmaptool` parts the map's sections by blank lines, `osd dump` does not.
fn without_blank_lines(text: &str) -> String {
    text.lines().filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect()
}

fn info(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let one = match c.args.has("id") {
        // As in Ceph: ENOENT everywhere else.
        true => Some(existing(c, &map).map_err(|Fail(_, why)| Fail(errno::EINVAL, why))?),
        false => None,
    };
    let all: Vec<OsdId> = one.map_or_else(|| map.osds().collect(), |osd| vec![osd]);
    let tree = || match one {
        Some(osd) => map.dump_osd(osd),
        None => Dump::arr("osd", all.iter().map(|osd| map.dump_osd(*osd))),
    };
    let text = || all.iter().map(|osd| map.print_osd(*osd)).collect();
    Ok(c.dump_or(if one.is_some() { "osd_info" } else { "osds" }, tree, text))
}

/// The `id` argument, which must be an OSD of the map.
fn existing(c: &Cmd, map: &OsdMap) -> Result<OsdId, Fail> {
    let osd = c.osd_arg("id")?;
    if map.exists(osd) { Ok(osd) } else { fail(errno::ENOENT, format!("osd.{osd} does not exist")) }
}

fn ls(c: &mut Cmd) -> CmdResult {
    let map = map_at(c)?;
    Ok(list_osds(c, map.osds().collect()))
}

fn list_osds(c: &Cmd, osds: Vec<OsdId>) -> Reply {
    c.dump_or("osds", || Dump::arr("osd", osds.iter().copied()), || osds.iter().map(|osd| format!("{osd}\n")).collect())
}

fn tree(c: &mut Cmd) -> CmdResult {
    let map = map_at(c)?;
    let mut filter = TreeFilter::default();
    for name in c.args.list("states") {
        match name.as_str() {
            "up" => filter.up = true,
            "down" => filter.down = true,
            "in" => filter.r#in = true,
            "out" => filter.out = true,
            "destroyed" => filter.destroyed = true,
            _ => return fail(errno::EINVAL, format!("unrecognized state '{name}'")),
        }
    }
    if usize::from(filter.up) + usize::from(filter.down) + usize::from(filter.destroyed) > 1 {
        return fail(errno::EINVAL, "can specify only one of 'up', 'down' and 'destroyed'");
    }
    if filter.r#in && filter.out {
        return fail(errno::EINVAL, "cannot specify both in and out");
    }
    let bucket = c.args.text("bucket");
    if let Some(name) = &bucket {
        match map.crush.item_id(name) {
            None => return fail(errno::ENOENT, format!("bucket '{name}' does not exist")),
            Some(0..) => return fail(errno::EINVAL, format!("\"{name}\" is not a bucket")),
            Some(_) => {}
        }
    }
    let bucket = bucket.as_deref();
    Ok(c.dump_or("tree", || map.dump_tree(filter, bucket), || map.print_tree(filter, bucket)))
}

fn ls_tree(c: &mut Cmd) -> CmdResult {
    let map = map_at(c)?;
    let name = c.arg("name")?;
    let Some(id) = map.crush.item_id(&name) else { return fail(errno::ENOENT, format!("\"{name}\" does not exist")) };
    let osds = map.crush.devices_below(id).into_iter().filter(|osd| map.exists(*osd)).collect();
    Ok(list_osds(c, osds))
}

fn getmap(c: &mut Cmd) -> CmdResult {
    let map = map_at(c)?;
    let full = c.mon.state.full_map(c.cx.store, map.epoch).map_err(|e| Fail(errno::EIO, e.to_string()))?;
    let full = full.ok_or_else(|| Fail(errno::ENOENT, format!("there is no map for epoch {}", map.epoch)))?;
    Ok(Reply::data(full).and_says(format!("got osdmap epoch {}", map.epoch)))
}

fn getcrushmap(c: &mut Cmd) -> CmdResult {
    let map = map_at(c)?;
    let bytes = denc::to_bytes(map.crush.as_ref(), map.encoding_features());
    Ok(Reply::data(bytes).and_says(map.crush_version.to_string()))
}

fn getmaxosd(c: &mut Cmd) -> CmdResult {
    let map = &c.mon.state.osdmap;
    let tree = || Dump::obj().with("epoch", map.epoch).with("max_osd", map.max_osd());
    Ok(c.dump_or("getmaxosd", tree, || format!("max_osd = {} in epoch {}\n", map.max_osd(), map.epoch)))
}

fn find(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let osd = existing(c, &map)?;
    let metadata = c.mon.osd_metadata(osd);
    let mut d = Dump::obj().with("osd", osd).with("addrs", map.addrs(osd).dump()).with("osd_fsid", map.uuid(osd));
    for (field, key) in [("host", "hostname"), ("pod_name", "pod_name"), ("pod_namespace", "pod_namespace")] {
        if let Some(value) = metadata.get(key) {
            d.put(field, value);
        }
    }
    if let Some(name) = metadata.get("container_name") {
        d.put("container_name", name);
    }
    let mut place = Dump::obj();
    map.crush.full_location(osd).into_iter().for_each(|(kind, name)| place.put(kind, name));
    Ok(c.dump("osd_location", &d.with("crush_location", place)))
}

impl Mon {
    pub(crate) fn osd_metadata(&self, osd: OsdId) -> BTreeMap<String, String> {
        self.state.value(Space::OsdMetadata, &osd.to_string()).unwrap_or_default()
    }
}

fn dump_metadata(mut d: Dump, metadata: &BTreeMap<String, String>) -> Dump {
    metadata.iter().for_each(|(k, v)| d.put(k.clone(), v));
    d
}

fn metadata(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    if c.args.has("id") {
        let osd = existing(c, &map)?;
        let metadata = c.mon.osd_metadata(osd);
        if metadata.is_empty() {
            return fail(errno::ENOENT, String::new());
        }
        return Ok(c.dump("osd_metadata", &dump_metadata(Dump::obj().with("id", osd), &metadata)));
    }
    let all = map.osds().map(|osd| dump_metadata(Dump::obj().with("id", osd), &c.mon.osd_metadata(osd)));
    Ok(c.dump("osd_metadata", &Dump::arr("osd", all)))
}

/// How often each value of a metadata field occurs.
pub fn count(values: impl Iterator<Item = String>) -> Dump {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    values.for_each(|v| *counts.entry(v).or_default() += 1);
    let mut d = Dump::obj();
    counts.into_iter().for_each(|(v, n)| d.put(v, n));
    d
}

/// The values of one field over OSDs that are in the map.
pub fn osd_field(mon: &Mon, field: &str) -> Vec<String> {
    let map = mon.state.osdmap.clone();
    let known = map.osds().filter(|osd| map.is_up(*osd) || !mon.osd_metadata(*osd).is_empty());
    known.map(|osd| mon.osd_metadata(osd).remove(field).unwrap_or_else(|| "unknown".to_owned())).collect()
}

fn count_metadata(c: &mut Cmd) -> CmdResult {
    let field = c.arg("property")?;
    Ok(c.dump(&field, &count(osd_field(c.mon, &field).into_iter())))
}

fn versions(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("ceph_version", &count(osd_field(c.mon, "ceph_version").into_iter())))
}

fn numa_status(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let rows: Vec<(OsdId, String)> =
        map.osds().map(|osd| (osd, c.mon.osd_metadata(osd).remove("hostname").unwrap_or_default())).collect();
    let tree = || Dump::arr("osd", rows.iter().map(|(osd, host)| Dump::obj().with("osd", *osd).with("host", host)));
    let text = || {
        let mut grid = types::table::Table::new()
            .far_right("OSD")
            .left("HOST")
            .far_right("NETWORK")
            .far_right("STORAGE")
            .far_right("AFFINITY")
            .left("CPUS");
        for (osd, host) in &rows {
            grid.row([osd.to_string(), host.clone(), "-".into(), "-".into(), "-".into(), "-".into()]);
        }
        grid.render()
    };
    Ok(c.dump_or("osds", tree, text))
}

/// `([2,0,1], p2)`.
fn placed(osds: &[OsdId], primary: OsdId) -> String {
    format!("({}, p{primary})", ids(osds))
}

fn dump_placed(d: &mut Dump, p: &osdmap::PgMapping) {
    d.put("up", Dump::arr("osd", p.up.iter().copied()));
    d.put("up_primary", p.up_primary);
    d.put("acting", Dump::arr("osd", p.acting.iter().copied()));
    d.put("acting_primary", p.acting_primary);
}

fn map_object(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let (name, object) = (c.arg("pool")?, c.arg("object")?);
    let Some(id) = map.pool_id(&name) else { return fail(errno::ENOENT, format!("pool {name} does not exist")) };
    let pool = map.pool(id).expect("a named pool is there");
    let nspace = c.args.text("nspace").unwrap_or_default();
    let (oid, none): (ByteStr, ByteStr) = (object.as_str().into(), "".into());
    let raw = types::PgId::new(id, pool.hash_object(&oid, &none, &nspace.as_str().into()));
    let pgid = pool.raw_pg_to_pg(raw);
    let p = map.pg_to_up_acting(pgid);
    let full_name = if nspace.is_empty() { object.clone() } else { format!("{nspace}/{object}") };
    let tree = || {
        let mut d = Dump::obj()
            .with("epoch", map.epoch)
            .with("pool", name.as_str())
            .with("pool_id", id)
            .with("objname", full_name.as_str())
            .with("raw_pgid", raw)
            .with("pgid", pgid);
        dump_placed(&mut d, &p);
        d
    };
    let text = || {
        format!(
            "osdmap e{} pool '{name}' ({id}) object '{full_name}' -> pg {raw} ({pgid}) -> up {} acting {}\n",
            map.epoch,
            placed(&p.up, p.up_primary),
            placed(&p.acting, p.acting_primary)
        )
    };
    Ok(c.dump_or("osd_map", tree, text))
}

fn map_pg(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let text = c.arg("pgid")?;
    let Ok(raw) = text.parse::<types::PgId>() else { return fail(errno::EINVAL, format!("invalid pgid '{text}'")) };
    let pgid = map.raw_pg_to_pg(raw).filter(|pg| map.pg_exists(*pg));
    let Some(pgid) = pgid else { return fail(errno::ENOENT, format!("pg '{text}' does not exist")) };
    let p = map.pg_to_up_acting(pgid);
    let tree = || {
        Dump::obj()
            .with("epoch", map.epoch)
            .with("raw_pgid", raw)
            .with("pgid", pgid)
            .with("up", Dump::arr("up_osd", p.up.iter().copied()))
            .with("acting", Dump::arr("acting_osd", p.acting.iter().copied()))
    };
    let line = || {
        let (up, acting) = (ids(&p.up), ids(&p.acting));
        format!("osdmap e{} pg {raw} ({pgid}) -> up {up} acting {acting}\n", map.epoch)
    };
    Ok(c.dump_or("pg_map", tree, line))
}

fn lspools(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let tree = || {
        let pools = map.pool_names.iter().map(|(id, n)| Dump::obj().with("poolnum", *id).with("poolname", n));
        Dump::arr("pool", pools)
    };
    Ok(c.dump_or("pools", tree, || map.pool_names.iter().map(|(id, n)| format!("{id} {n}\n")).collect()))
}

fn blocklist_ls(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let (singles, ranges) = (&map.blocklist.entries, &map.blocklist.ranges);
    let list = |entries: &BTreeMap<EntityAddr, UTime>, key: &'static str| {
        let entry = |(addr, until): (&EntityAddr, &UTime)| {
            Dump::obj().with(key, addr.legacy_str()).with("until", until.to_string())
        };
        Dump::arr("entry", entries.iter().map(entry))
    };
    let lines = |entries: &BTreeMap<EntityAddr, UTime>, kind: &str| -> String {
        entries.iter().map(|(addr, until)| format!("{kind}{} {until}\n", addr.legacy_str())).collect()
    };
    let text = || lines(singles, "") + &lines(ranges, "cidr:");
    let mut reply = c.dump_or("blocklist", || list(singles, "addr"), text);
    // As in Ceph, ranges make a second list behind the first.
    if let Some(format) = c.format() {
        let mut bytes = reply.data.to_vec();
        bytes.extend(list(ranges, "range").render(format, "range_blocklist").into_bytes());
        reply.data = Bytes::from(bytes);
    }
    Ok(reply.and_says(format!("listed {} entries", singles.len() + ranges.len())))
}

fn min_compat(c: &mut Cmd) -> CmdResult {
    Ok(Reply::data(format!("{}\n", c.mon.state.osdmap.require_min_compat_client)))
}

/// How many PGs each OSD that is in has.
fn pgs_by_osd(map: &OsdMap) -> BTreeMap<OsdId, u64> {
    let mut counts: BTreeMap<OsdId, u64> = map.osds().filter(|o| map.is_in(*o)).map(|o| (o, 0)).collect();
    for (id, p) in &map.pools {
        for seed in 0..p.pg_num {
            for osd in map.pg_to_up_acting(types::PgId::new(*id, seed)).acting {
                if osd != pool::CRUSH_ITEM_NONE {
                    *counts.entry(osd).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn utilization(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let counts = pgs_by_osd(&map);
    let n = counts.len().max(1) as f64;
    let avg = counts.values().sum::<u64>() as f64 / n;
    let stddev = (counts.values().map(|v| (*v as f64 - avg).powi(2)).sum::<f64>() / n).sqrt();
    let expected = (avg * (1.0 - 1.0 / n)).sqrt();
    let min = counts.iter().min_by_key(|(_, v)| **v).map_or((0, 0), |(o, v)| (*o, *v));
    let max = counts.iter().rev().max_by_key(|(_, v)| **v).map_or((0, 0), |(o, v)| (*o, *v));
    let ratio = |v: u64| if avg > 0.0 { v as f64 / avg } else { 0.0 };
    let tree = || {
        Dump::obj()
            .with("avg_pgs", avg)
            .with("std_dev", stddev)
            .with("expected_baseline_std_dev", expected)
            .with("min_osd", min.0)
            .with("min_osd_pgs", min.1)
            .with("max_osd", max.0)
            .with("max_osd_pgs", max.1)
    };
    let text = || {
        format!(
            "avg {}\nstddev {} (expected baseline {})\nmin osd.{} with {} pgs ({} * mean)\nmax osd.{} with {} pgs ({} * mean)\n",
            short(avg),
            short(stddev),
            short(expected),
            min.0,
            min.1,
            short(ratio(min.1)),
            max.0,
            max.1,
            short(ratio(max.1))
        )
    };
    Ok(c.dump_or("utilization", tree, text))
}

fn profile_ls(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let names = map.erasure_code_profiles.keys();
    Ok(c.dump_or(
        "erasure-code-profiles",
        || Dump::arr("profile", names.clone()),
        || names.clone().map(|n| format!("{n}\n")).collect(),
    ))
}

fn profile_get(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let map = c.mon.state.osdmap.clone();
    let Some(profile) = map.erasure_code_profiles.get(&name) else {
        return fail(errno::ENOENT, format!("unknown erasure code profile '{name}'"));
    };
    let tree = || {
        let mut d = Dump::obj();
        profile.iter().for_each(|(k, v)| d.put(k.clone(), v));
        d
    };
    Ok(c.dump_or("profile", tree, || profile.iter().map(|(k, v)| format!("{k}={v}\n")).collect()))
}

fn last_stat_seq(c: &mut Cmd) -> CmdResult {
    let osd = c.osd_arg("id")?;
    let seq = c.mon.mgr.stats.osds.get(&osd).map_or(0, |stat| stat.seq);
    let text = format!("{seq}\n");
    Ok(match c.format() {
        Some(Format::Json | Format::JsonPretty) | None => Reply::data(text),
        Some(format) => Reply::data(Dump::from(seq).render(format, "seq")),
    })
}

/// A float as Ceph's streams print it.
fn short(v: f64) -> String {
    types::dump::general_float(v, 6)
}
