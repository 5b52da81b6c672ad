//! Edits, against what real monitors made of them.

use crush::{CrushError, CrushMap, Location, Mode, RuleKind, weight_from_float};

fn loc(pairs: &[(&str, &str)]) -> Location {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn cluster() -> CrushMap {
    let mut map = CrushMap::new_cluster(1).expect("hosts exist");
    for osd in 0..4 {
        let host = format!("h{}", osd / 2);
        map.set_device_class(osd, if osd % 2 == 0 { "hdd" } else { "ssd" }).expect("a new device");
        let there = loc(&[("host", &host), ("root", "default")]);
        map.insert_item(osd, 0x1_0000, &format!("osd.{osd}"), &there).expect("fits");
    }
    map
}

fn id(map: &CrushMap, name: &str) -> i32 {
    map.item_id(name).unwrap_or_else(|| panic!("no item {name}"))
}

fn weight(map: &CrushMap, name: &str) -> u32 {
    map.item_weight(id(map, name)).expect("it has a weight")
}

/// Every bucket weighs what it holds, and every shadow mirrors its bucket.
fn check(map: &CrushMap) {
    map.validate().expect("valid");
    for b in map.buckets() {
        assert_eq!(b.weight, b.item_weights().iter().sum::<u32>(), "{:?}", map.item_name(b.id));
    }
    let again: CrushMap = denc::from_bytes(denc::to_bytes(map, u64::MAX)).expect("decodes");
    assert_eq!(&again, map);
}

#[test]
fn inserting_devices_makes_hosts_and_shadow_trees() {
    let map = cluster();
    check(&map);
    assert_eq!(weight(&map, "default"), 0x4_0000);
    assert_eq!(weight(&map, "default~hdd"), 0x2_0000);
    assert_eq!(map.devices_below(id(&map, "default~ssd")).into_iter().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(map.full_location(2), loc(&[("host", "h1"), ("root", "default")]));
    assert_eq!(map.split_class(id(&map, "h1~ssd")), Some((id(&map, "h1"), map.class_id("ssd"))));
}

#[test]
fn a_shadow_keeps_its_id_through_changes() {
    let mut map = cluster();
    let shadow = id(&map, "h0~hdd");
    map.reweight_item(0, 0x8000).expect("it is there");
    map.move_bucket(id(&map, "h0"), &loc(&[("rack", "r0"), ("root", "default")])).expect("moves");
    assert_eq!(id(&map, "h0~hdd"), shadow);
    assert_eq!(weight(&map, "default~hdd"), 0x1_8000);
    check(&map);
}

#[test]
fn an_osd_that_starts_elsewhere_moves_and_keeps_its_weight() {
    let mut map = cluster();
    map.reweight_item(1, 0x3_0000).expect("it is there");
    let there = loc(&[("host", "h9"), ("root", "default")]);
    assert_eq!(map.create_or_move_item(1, 0x1_0000, "osd.1", &there), Ok(true));
    assert_eq!(map.create_or_move_item(1, 0x1_0000, "osd.1", &there), Ok(false));
    assert_eq!((weight(&map, "h9"), weight(&map, "h0"), weight(&map, "osd.1")), (0x3_0000, 0x1_0000, 0x3_0000));
    assert_eq!(map.item_class(1), Some("ssd"));
    check(&map);
}

#[test]
fn what_is_removed_leaves_no_trace() {
    let mut map = cluster();
    assert!(matches!(map.remove_item(id(&map, "h0"), false), Err(CrushError::NotEmpty(_))));
    for osd in [0, 1] {
        map.remove_item(osd, false).expect("it is there");
    }
    let host = id(&map, "h0");
    map.remove_item(host, false).expect("it is empty");
    assert_eq!((map.item_id("osd.0"), map.item_id("h0"), map.item_id("h0~hdd")), (None, None, None));
    assert_eq!(map.remove_item(host, false), Err(CrushError::NoSuchId(host)));
    assert_eq!(map.remove_item(id(&map, "default"), true).map_err(|e| e.errno()), Err(2));
    check(&map);
}

#[test]
fn a_root_that_a_rule_takes_stays() {
    let mut map = cluster();
    for osd in 0..4 {
        map.remove_item(osd, false).expect("it is there");
    }
    for host in ["h0", "h1"] {
        map.remove_item(id(&map, host), false).expect("it is empty");
    }
    assert_eq!(map.remove_item(id(&map, "default"), false).map_err(|e| e.errno()), Err(16));
}

#[test]
fn a_class_lives_as_long_as_a_device_or_a_rule_wants_it() {
    let mut map = cluster();
    assert_eq!(map.set_device_class(1, "hdd").map_err(|e| e.errno()), Err(16));
    let rule = map.add_simple_rule("fast", "default", "host", "ssd", Mode::Firstn, RuleKind::Replicated).expect("fits");
    for osd in [1, 3] {
        assert_eq!(map.rm_device_class(osd), Ok(true));
    }
    assert!(map.class_id("ssd").is_some());
    assert_eq!(map.rules_of_class(map.class_id("ssd").expect("alive")), [rule]);
    map.remove_rule(rule).expect("it exists");
    assert_eq!(map.class_id("ssd"), None);
    check(&map);
}

#[test]
fn links_moves_and_loops() {
    let mut map = cluster();
    map.add_bucket("other", "root").expect("free");
    let h0 = id(&map, "h0");
    map.link_bucket(h0, &loc(&[("root", "other")])).expect("links");
    assert_eq!(weight(&map, "other"), 0x2_0000);
    map.reweight_item(0, 0).expect("it is there");
    assert_eq!((weight(&map, "other"), weight(&map, "default")), (0x1_0000, 0x3_0000));
    assert!(matches!(map.link_bucket(h0, &loc(&[("root", "other")])), Err(CrushError::AlreadyThere(_))));
    map.add_bucket("r0", "rack").expect("free");
    let wrong = map.clone().move_bucket(id(&map, "r0"), &loc(&[("host", "default")]));
    assert!(matches!(wrong, Err(CrushError::WrongType { .. })));
    map.remove_item_under(h0, id(&map, "other"), true).expect("it is there");
    assert_eq!((weight(&map, "other"), weight(&map, "h0")), (0, 0x1_0000));
    map.swap_buckets(h0, id(&map, "h1")).expect("siblings");
    assert_eq!(map.children(id(&map, "h0")), [0, 1]);
    assert_ne!(id(&map, "h0"), h0);
    check(&map);
}

#[test]
fn names_and_weights_are_checked() {
    let mut map = cluster();
    assert_eq!(map.add_bucket("a b", "host").map_err(|e| e.errno()), Err(22));
    assert_eq!(map.add_bucket("h0", "host").map_err(|e| e.errno()), Err(17));
    assert_eq!(map.add_bucket("x", "shelf").map_err(|e| e.errno()), Err(22));
    assert_eq!(weight_from_float(0.5), Ok(0x8000));
    assert_eq!(weight_from_float(-1.0), Err(CrushError::Weight));
    assert_eq!(weight_from_float(40_000.0), Err(CrushError::Weight));
    assert_eq!(map.rename_bucket("h0", "h1").map_err(|e| e.errno()), Err(17));
    map.rename_bucket("h0", "vm").expect("free");
    assert!(map.name_exists("vm~hdd") && !map.name_exists("h0~hdd"));
    assert_eq!(map.rename_bucket("h0", "vm").map_err(|e| e.errno()), Err(114));
    check(&map);
}

#[test]
fn a_map_that_contains_itself_is_found_out_and_survived() {
    let map = cluster();
    let mut bytes = denc::to_bytes(&map, u64::MAX).to_vec();
    // The first item of the first bucket, after the header and the bucket's.
    let at = 16 + 4 + 4 + 2 + 1 + 1 + 4 + 4;
    bytes[at..at + 4].copy_from_slice(&(-1i32).to_le_bytes());
    let mut bad: CrushMap = denc::from_bytes(bytes).expect("decodes");
    assert_eq!(bad.validate(), Err(crush::Invalid::Cycle(-1)));
    bad.do_rule(0, 1, 3, &[0x1_0000; 4], -1);
    assert!(bad.walk(true).count() < 100);
    assert!(bad.ancestors(-1).len() < 2);
    let _ = bad.insert_item(9, 1, "osd.9", &loc(&[("root", "default")]));
}

#[test]
fn an_item_in_two_places_is_weighed_in_the_one_that_is_named_and_its_shadows_follow() {
    let mut map = CrushMap::new_cluster(1).expect("hosts exist");
    for (osd, host) in [(0, "h0"), (1, "h1")] {
        let there = loc(&[("host", host), ("root", "default")]);
        map.insert_item(osd, 0x1_0000, &format!("osd.{osd}"), &there).expect("fits");
        map.set_device_class(osd, "ssd").expect("a new class");
    }
    let (h0, h1) = (loc(&[("host", "h0")]), loc(&[("host", "h1")]));
    map.insert_item(0, 0x1_0000, "osd.0", &h1).expect("a second place");
    map.update_item(0, 0x3_0000, "osd.0", &h0).expect("there");
    let shadow = |map: &CrushMap, name: &str| map.bucket(map.item_id(name).expect("a shadow")).expect("it is").weight;
    assert_eq!((shadow(&map, "h0~ssd"), shadow(&map, "h1~ssd")), (0x3_0000, 0x2_0000));
    map.remove_item_under(0, map.item_id("h1").expect("there"), false).expect("there");
    assert_eq!((shadow(&map, "h0~ssd"), shadow(&map, "h1~ssd")), (0x3_0000, 0x1_0000));
    assert!(map.update_item(0, 0x1_0000, "osd.0", &h0).expect("there"));
    assert_eq!(shadow(&map, "default~ssd"), 0x2_0000);
}
