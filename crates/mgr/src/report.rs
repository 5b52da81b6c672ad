//! The manager's part of `report`: sums by pool, by OSD and by device class (Ceph: `PGMapDigest::dump`).

use std::collections::BTreeMap;

use osdmap::OsdMap;
use types::dump::Dump;
use types::flags::pg_state;
use types::{OsdId, OsdStat};

use crate::show::{osd_sum, pool_dump};
use crate::stats::PgMap;

/// How many PGs an OSD leads, has, and is to have.
#[derive(Default)]
struct Share {
    primary: u64,
    acting: u64,
    up_not_acting: u64,
}

pub fn digest_dump(pgs: &PgMap, map: &OsdMap) -> Dump {
    let pools = pgs.pools(map);
    let num_pg = |id| map.pool(id).map_or(0, |p| p.pg_num);
    let osd_seq = |(osd, s): (&OsdId, &OsdStat)| Dump::obj().with("osd", *osd).with("seq", s.seq);
    let by_state = pgs.by_state().into_iter();
    Dump::obj()
        .with("num_pg", pgs.pgs.len())
        .with("num_pg_active", pgs.pgs.values().filter(|s| s.state & pg_state::ACTIVE != 0).count())
        .with("num_pg_unknown", pgs.pgs.values().filter(|s| s.state == 0).count())
        .with("num_osd", pgs.osds.len())
        .with("pool_sum", pgs.total().dump())
        .with("osd_sum", osd_sum(pgs).dump())
        .with("osd_sum_by_class", by_class(pgs, map))
        .with("pool_stats", Dump::arr("pool_stat", pools.iter().map(|(id, p)| pool_dump(*id, num_pg(*id), p))))
        .with("osd_stats", Dump::arr("osd_stat", pgs.osds.iter().map(osd_seq)))
        .with(
            "num_pg_by_state",
            Dump::arr("count", by_state.map(|(s, n)| Dump::obj().with("state", pg_state::to_string(s)).with("num", n))),
        )
        .with("num_pg_by_osd", Dump::arr("count", by_osd(pgs)))
        .with("purged_snaps", Dump::arr("pool", purged_snaps(pgs)))
}

fn by_class(pgs: &PgMap, map: &OsdMap) -> Dump {
    let mut classes: BTreeMap<&str, OsdStat> = BTreeMap::new();
    for (osd, stat) in &pgs.osds {
        if let Some(class) = map.crush.item_class(*osd) {
            *classes.entry(class).or_default() += stat;
        }
    }
    let mut d = Dump::obj();
    for (class, sum) in classes {
        d.put(class.to_owned(), sum.dump());
    }
    d
}

fn by_osd(pgs: &PgMap) -> impl Iterator<Item = Dump> {
    let mut shares: BTreeMap<OsdId, Share> = BTreeMap::new();
    for stat in pgs.pgs.values() {
        for osd in &stat.acting {
            shares.entry(*osd).or_default().acting += 1;
        }
        for osd in stat.up.iter().filter(|osd| !stat.acting.contains(osd)) {
            shares.entry(*osd).or_default().up_not_acting += 1;
        }
        shares.entry(stat.up_primary).or_default().primary += 1;
    }
    shares.into_iter().filter(|(osd, _)| *osd >= 0 && *osd != types::CRUSH_ITEM_NONE).map(|(osd, share)| {
        Dump::obj()
            .with("osd", osd)
            .with("num_primary_pg", share.primary)
            .with("num_acting_pg", share.acting)
            .with("num_up_not_acting_pg", share.up_not_acting)
    })
}

fn purged_snaps(pgs: &PgMap) -> impl Iterator<Item = Dump> {
    pgs.purged_snaps().into_iter().filter(|(_, snaps)| !snaps.is_empty()).map(|(pool, snaps)| {
        let all = snaps.iter().map(|(start, length)| {
            ("interval".into(), Dump::obj().with("start", Dump::text(start)).with("length", Dump::text(length)))
        });
        Dump::obj().with("pool", pool).with("purged_snaps", Dump::Object(all.collect()))
    })
}
