//! Where objects and PGs live, against osdmaptool and librados.

use denc::ByteStr;
use osdmap::{OsdMap, OsdMapMapping};
use serde_json::Value;
use types::PgId;

use crate::support;

#[test]
fn objects_are_placed_where_ceph_places_them() {
    let map: OsdMap = denc::from_bytes(support::gunzip("object-to-pg.osdmap.bin.gz")).expect("decodes");
    let table: Value = serde_json::from_slice(&support::gunzip("object-to-pg.json.gz")).expect("JSON");
    let list = |v: &Value| -> Vec<i32> { serde_json::from_value(v.clone()).expect("a list of OSDs") };
    let rows = table["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3438);
    for row in rows {
        let text = |i: usize| row[i].as_str().expect("text");
        let raw = map
            .object_to_pg(row[0].as_i64().expect("a pool"), &text(2).into(), &ByteStr::default(), &text(1).into(), None)
            .expect("the pool exists");
        assert_eq!(raw.to_string(), text(3), "{row}");
        let pg = map.raw_pg_to_pg(raw).expect("the pool exists");
        assert_eq!(pg.to_string(), text(4), "{row}");
        let at = map.pg_to_up_acting(raw);
        assert_eq!((at.up, at.acting), (list(&row[5]), list(&row[6])), "{row}");
        assert_eq!(at.up_primary, row[7].as_i64().expect("an OSD") as i32, "{row}");
    }
}

#[test]
fn every_pg_maps_as_osdmaptool_printed() {
    let map = support::map_41();
    let all = OsdMapMapping::new(&map);
    let text = String::from_utf8(support::gunzip("osdmap.0039.test-map-pgs-dump-all.gz")).expect("text");
    let list = |osds: &[i32]| osds.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let mut checked = 0;
    for line in text.lines() {
        let Some(pg) = line.split(' ').next().and_then(|w| w.parse::<PgId>().ok()) else { continue };
        let (raw, raw_primary) = map.pg_to_raw_osds(pg);
        let m = all.get(pg).expect("the PG exists");
        assert_eq!(m, &map.pg_to_up_acting(pg));
        let printed = format!(
            "{pg} raw ([{}], p{raw_primary}) up ([{}], p{}) acting ([{}], p{})",
            list(&raw),
            list(&m.up),
            m.up_primary,
            list(&m.acting),
            m.acting_primary
        );
        assert_eq!(printed, line);
        checked += 1;
    }
    assert_eq!(checked, 32);
    assert_eq!([0, 1, 2].map(|osd| all.num_pgs(osd)), [32, 32, 25]);
}
