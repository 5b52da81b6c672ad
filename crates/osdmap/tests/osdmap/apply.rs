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

#[test]
fn a_new_cluster_starts_with_the_map_that_a_real_one_starts_with() {
    let real = support::map(1);
    let options = osdmap::NewCluster { chooseleaf_type: 0, ..osdmap::NewCluster::default() };
    let mut ours = OsdMap::new_cluster(real.fsid, real.created, &options).expect("type 0 exists");
    ours.modified = real.modified;
    assert_eq!(ours.dump(), real.dump());
    assert_eq!(ours.crush, real.crush);
    assert_eq!(ours.encode_canonical().as_ref(), support::map_bytes(1));
}

#[test]
fn temporary_placements_go_when_they_say_nothing_new() {
    let map = support::map(39);
    let pg = types::PgId::new(1, 2);
    let mut inc = Incremental::after(&map);
    inc.new_pg_temp.insert(pg, map.pg_to_up_acting(pg).up);
    inc.old_pools.insert(2);
    let mut next = map.clone();
    next.apply(&inc).expect("applies");
    map.clean_temps(&next, &mut inc);
    assert!(!inc.new_pg_temp.contains_key(&pg), "never told");
    let of_pool_2 = map.pg_temp.keys().filter(|pg| pg.pool == 2);
    assert!(of_pool_2.clone().count() > 0);
    assert!(of_pool_2.clone().all(|pg| inc.new_pg_temp.get(pg) == Some(&Vec::new())), "taken away");
    assert!(!inc.new_pg_temp.contains_key(&types::PgId::new(1, 5)), "still needed");
}

/// Booting OSDs, two erasure-coded pools and a bucket, done again on the first map.
#[test]
fn crush_edits_give_the_crush_maps_that_ceph_made_of_the_same_commands() {
    let mut crush = support::map(1).crush.as_ref().clone();
    let loc: crush::Location = [("host".into(), "vm".into()), ("root".into(), "default".into())].into();
    let expect = |crush: &crush::CrushMap, epoch: u32| {
        assert_eq!(
            denc::to_bytes(crush, u64::MAX),
            denc::to_bytes(support::map(epoch).crush.as_ref(), u64::MAX),
            "{epoch}"
        );
    };
    crush.set_device_class(0, "hdd").expect("new");
    expect(&crush, 5);
    crush.create_or_move_item(0, 386, "osd.0", &loc).expect("placed");
    crush.set_device_class(1, "hdd").expect("new");
    crush.set_device_class(2, "hdd").expect("new");
    expect(&crush, 6);
    crush.create_or_move_item(1, 386, "osd.1", &loc).expect("placed");
    crush.create_or_move_item(2, 386, "osd.2", &loc).expect("placed");
    expect(&crush, 7);
    for (name, domain, chunks, epoch) in [("erasure-code", "host", 4, 11), ("ecpool", "osd", 3, 25)] {
        let domain = if domain == "osd" { "" } else { domain };
        let rule = crush.add_simple_rule(name, "default", domain, "", crush::Mode::Indep, crush::RuleKind::Erasure);
        crush.set_rule_max_size(rule.expect("added"), chunks).expect("it exists");
        expect(&crush, epoch);
    }
    crush.add_bucket("rackx", "rack").expect("added");
    expect(&crush, 35);
}
