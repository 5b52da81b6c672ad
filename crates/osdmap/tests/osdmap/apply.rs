//! One epoch to the next.

use std::collections::BTreeMap;

use denc::from_bytes;
use osdmap::{ApplyError, Incremental, OsdMap};

use crate::support;

#[test]
fn the_next_map_has_the_bytes_that_ceph_stored() {
    let fulls: BTreeMap<u32, Vec<u8>> = support::hex_lines("fulls.hex.gz").into_iter().collect();
    let incs: BTreeMap<u32, Vec<u8>> = support::hex_lines("incrementals.hex.gz").into_iter().collect();
    let mut checked = 0;
    for (epoch, bytes) in &fulls {
        let Some(next) = fulls.get(&(epoch + 1)) else { continue };
        let mut map: OsdMap = from_bytes(bytes.clone()).expect("decodes");
        let inc: Incremental = from_bytes(incs[&(epoch + 1)].clone()).expect("decodes");
        map.apply(&inc).expect("applies");
        let encoded = map.encode_canonical();
        assert_eq!(encoded.as_ref(), next, "epoch {}", epoch + 1);
        assert_eq!(OsdMap::crc_of_encoded(&encoded), inc.full_crc);
        checked += 1;
    }
    assert_eq!(checked, 2);
}

#[test]
fn sealing_an_incremental_notes_the_checksum_that_whoever_applies_it_gets() {
    let map = support::map(39);
    let mut inc = Incremental::after(&map);
    inc.mark_down(&map, 2);
    let (next, full, bytes) = inc.seal(&map).expect("applies");
    assert!(next.is_down(2) && next.exists(2) && next.info(2).down_at == 40);
    let sent: Incremental = from_bytes(bytes).expect("decodes");
    let mut theirs = map.clone();
    theirs.apply(&sent).expect("applies");
    assert_eq!(theirs.encode_canonical(), full);
    assert_eq!(sent.full_crc, OsdMap::crc_of_encoded(&full));
}

#[test]
fn what_belongs_elsewhere_is_refused_and_changes_nothing() {
    let mut map = support::map(39);
    let skip = Incremental::new(map.fsid, 41);
    assert_eq!(map.apply(&skip), Err(ApplyError::WrongEpoch { at: 39, to: 41 }));
    let other = Incremental::new(types::Uuid::default(), 40);
    assert!(matches!(map.apply(&other), Err(ApplyError::OtherCluster { .. })));
    assert_eq!(map.encode_canonical().as_ref(), support::map_bytes(39));
    let mut beyond = Incremental::after(&map);
    beyond.new_up_thru.insert(7, 3);
    assert_eq!(map.clone().apply(&beyond), Err(ApplyError::NoSuchOsd(7)));
}
