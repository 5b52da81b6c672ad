//! What people and programs are shown.

use osdmap::{Incremental, OsdMap, TreeFilter};
use serde_json::Value;
use types::dump::Format;

use crate::support;

/// The same fields in the same order, whatever the number of digits.
pub fn same_json(ours: &str, recorded: &[u8], what: &str) {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let (ours, recorded) = (parse(ours.as_bytes()), parse(recorded));
    let (a, b) = (ours.to_string(), recorded.to_string());
    let at = a.bytes().zip(b.bytes()).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
    let from = at.saturating_sub(80);
    let cut = |s: &str| String::from_utf8_lossy(&s.as_bytes()[from..s.len().min(at + 80)]).into_owned();
    assert!(a == b, "{what}:\nours     {}\nrecorded {}", cut(&a), cut(&b));
}

#[test]
fn every_recorded_map_dumps_as_osdmaptool_dumped_it() {
    for epoch in 1..=39 {
        let recorded = support::gunzip(&format!("osdmap.{epoch:04}.json.gz"));
        same_json(&support::map(epoch).dump().to_json(), &recorded, &format!("epoch {epoch}"));
    }
}

#[test]
fn a_map_prints_as_osdmaptool_prints_it() {
    let printed = String::from_utf8(support::gunzip("osdmap.0039.print.txt.gz")).expect("text");
    assert_eq!(support::map_41().print(), printed);
}

fn cli(file: &str) -> String {
    std::fs::read_to_string(support::testdata("cli").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Three OSDs on one host, as the cluster that the commands were recorded on.
fn healthy() -> OsdMap {
    support::map(26)
}

fn degraded() -> OsdMap {
    let mut map = healthy();
    let mut inc = Incremental::after(&map);
    inc.mark_down(&map, 2);
    map.apply(&inc).expect("applies");
    map
}

#[test]
fn osd_tree_looks_as_ceph_prints_it() {
    let up = TreeFilter { up: true, ..TreeFilter::default() };
    for (state, map) in [("healthy", healthy()), ("degraded", degraded())] {
        for (name, filter) in [("ceph_osd_tree", TreeFilter::default()), ("ceph_osd_tree_up", up)] {
            assert_eq!(map.print_tree(filter, None), cli(&format!("{state}.{name}.txt")), "{state} {name}");
            let recorded = cli(&format!("{state}.{name}.json"));
            assert_eq!(map.dump_tree(filter, None).to_json(), recorded.trim(), "{state} {name}");
        }
        let xml = map.dump_tree(TreeFilter::default(), None).render(Format::Xml, "tree");
        assert_eq!(xml, cli(&format!("{state}.ceph_osd_tree.xml")).trim());
    }
    let printed = String::from_utf8(support::gunzip("osdmap.0039.tree.txt.gz")).expect("text");
    assert_eq!(support::map_41().print_tree(TreeFilter::default(), None), printed);
}

#[test]
fn osd_tree_shows_one_bucket_and_osds_that_are_nowhere() {
    let mut map = healthy();
    assert_eq!(map.print_tree(TreeFilter::default(), Some("vm")).lines().nth(1).map(|l| &l[..2]), Some("-3"));
    let mut crush = map.crush.as_ref().clone();
    crush.remove_item(1, true).expect("it is there");
    let mut inc = Incremental::after(&map);
    inc.set_crush(&map, &crush);
    map.apply(&inc).expect("applies");
    let (nodes, stray) = map.tree_items(TreeFilter::default(), None);
    assert_eq!((nodes.len(), stray.iter().map(|s| s.id).collect::<Vec<_>>()), (4, vec![1]));
}

#[test]
fn crush_tree_and_dump_look_as_ceph_prints_them() {
    let map = healthy();
    for (name, shadow) in [("ceph_osd_crush_tree", false), ("ceph_osd_crush_tree_--show-shadow", true)] {
        assert_eq!(map.print_crush_tree(shadow), cli(&format!("healthy.{name}.txt")), "{name}");
        assert_eq!(map.dump_crush_tree(shadow).to_json(), cli(&format!("healthy.{name}.json")).trim(), "{name}");
    }
    assert_eq!(osdmap::dump_crush(&map.crush).to_json(), cli("healthy.ceph_osd_crush_dump.json").trim());
}
