//! The forms on the wire.

use denc::{from_bytes, to_bytes};
use osdmap::{Incremental, OsdMap};
use types::features;

use crate::support;

#[test]
fn every_recorded_map_is_written_back_byte_for_byte_with_its_checksum() {
    for epoch in 1..=39 {
        let bytes = support::map_bytes(epoch);
        let map = support::map(epoch);
        assert_eq!(map.epoch, epoch);
        assert_eq!(map.encode_canonical().as_ref(), bytes, "epoch {epoch}");
        assert_eq!(OsdMap::crc_of_encoded(&bytes), map.crc);
    }
}

#[test]
fn every_recorded_incremental_is_written_back_byte_for_byte() {
    for (epoch, bytes) in support::hex_lines("incrementals.hex.gz") {
        let inc: Incremental = from_bytes(bytes.clone()).expect("decodes");
        assert_eq!(inc.epoch, epoch);
        assert_eq!(to_bytes(&inc, inc.encode_features).as_ref(), bytes, "epoch {epoch}");
    }
}

#[test]
fn a_map_for_a_client_of_nautilus_reads_the_same() {
    let map = support::map(39);
    let bytes = to_bytes(&map, features::ALL & !(1 << 16));
    let back: OsdMap = from_bytes(bytes).expect("decodes");
    assert_eq!(back.xinfo(0).dead_epoch, 0);
    assert_eq!(back.pools, map.pools);
    assert_eq!(back.pg_to_up_acting(types::PgId::new(1, 5)), map.pg_to_up_acting(types::PgId::new(1, 5)));
}

#[test]
fn a_changed_byte_is_noticed() {
    let bytes = support::map_bytes(39);
    for at in (6..bytes.len()).step_by(7) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        assert!(from_bytes::<OsdMap>(bad).is_err(), "byte {at}");
    }
}

#[test]
fn garbage_with_a_right_checksum_is_refused_or_usable_but_never_panics() {
    let bytes = support::map_bytes(39);
    let seal = |mut bad: Vec<u8>| {
        let hole = bad.len() - 4;
        let crc = !crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bad[..hole]) as u32;
        bad[hole..].copy_from_slice(&crc.to_le_bytes());
        bad
    };
    for at in 6..bytes.len() - 4 {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        let Ok(map) = from_bytes::<OsdMap>(seal(bad)) else { continue };
        for pool in map.pools.keys() {
            map.pg_to_up_acting(types::PgId::new(*pool, 3));
        }
    }
    for end in 0..bytes.len() {
        assert!(from_bytes::<OsdMap>(bytes[..end].to_vec()).is_err());
    }
}

#[test]
fn a_garbled_incremental_with_a_right_checksum_never_makes_an_apply_panic() {
    let incs = support::hex_lines("incrementals.hex.gz");
    let (epoch, bytes) = incs.iter().max_by_key(|(_, bytes)| bytes.len()).expect("there are some");
    let mut map = support::map(39);
    map.epoch = epoch - 1;
    let mut applied = 0;
    for at in 6..bytes.len() - 8 {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        let hole = bad.len() - 8;
        let covered = [&bad[..hole], &bad[hole + 4..]].concat();
        let crc = !crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &covered) as u32;
        bad[hole..hole + 4].copy_from_slice(&crc.to_le_bytes());
        let Ok(mut inc) = from_bytes::<Incremental>(bad) else { continue };
        (inc.fsid, inc.epoch) = (map.fsid, *epoch);
        let mut next = map.clone();
        if next.apply(&inc).is_ok() {
            next.encode_canonical();
            applied += 1;
        }
    }
    assert!(applied > 0);
}
