//! What people and programs are shown.

use serde_json::Value;

use crate::support;

/// The same fields in the same order, whatever the number of digits.
pub fn same_json(ours: &str, recorded: &[u8], what: &str) {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let (ours, recorded) = (parse(ours.as_bytes()), parse(recorded));
    let (a, b) = (ours.to_string(), recorded.to_string());
    let at = a.bytes().zip(b.bytes()).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
    let from = at.saturating_sub(80);
    let cut = |s: &str| String::from_utf8_lossy(&s.as_bytes()[from..s.len().min(at + 80)]).into_owned();
    assert_eq!(a == b, true, "{what}:\nours     {}\nrecorded {}", cut(&a), cut(&b));
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
