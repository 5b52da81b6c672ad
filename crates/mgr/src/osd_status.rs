//! `osd status`: each OSD with its host, space and what its PGs do for clients (Ceph: the manager's module `status`).

use osdmap::{OsdMap, state};
use types::OsdId;
use types::table::Table;

use crate::stats::PgMap;
use crate::text;

pub fn table(pgs: &PgMap, map: &OsdMap, only: impl Fn(OsdId) -> bool) -> String {
    let headings = ["USED", "AVAIL", "WR OPS", "WR DATA", "RD OPS", "RD DATA"];
    let table = Table::new().far_right("ID").left("HOST");
    let mut table = headings.into_iter().fold(table, Table::far_right).left("STATE");
    for osd in map.osds().filter(|osd| only(*osd)) {
        let statfs = pgs.osds.get(&osd).map(|stat| stat.statfs.clone()).unwrap_or_default();
        let known = pgs.osds.contains_key(&osd);
        let host = map.crush.full_location(osd).remove("host").filter(|_| known).unwrap_or_default();
        let rates = pgs.osd_rates(osd);
        table.row([
            osd.to_string(),
            host,
            text::units(statfs.used_raw(), 5),
            text::units(statfs.available, 5),
            text::units_of(rates.writes, 5, 1_000),
            text::units(rates.written, 5),
            text::units_of(rates.reads, 5, 1_000),
            text::units(rates.read, 5),
            state::names(map.state(osd)).collect::<Vec<_>>().join(","),
        ]);
    }
    text::padded_table(&table)
}
