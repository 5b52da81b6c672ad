//! The binary form, against recorded maps.

use denc::{from_bytes, to_bytes};

use crate::support;

#[test]
fn every_recorded_map_is_written_back_byte_for_byte() {
    for name in support::MAPS {
        let bytes = support::map_bytes(name);
        assert_eq!(to_bytes(&support::map(name), u64::MAX).as_ref(), bytes, "{name}");
    }
}

#[test]
fn a_cut_map_is_refused_or_read_but_never_panics() {
    let bytes = support::map_bytes("hand-jewel");
    for end in 0..bytes.len() {
        let _ = from_bytes::<crush::CrushMap>(bytes[..end].to_vec());
    }
}

#[test]
fn a_map_with_any_byte_changed_maps_or_is_refused_but_never_panics_nor_hangs() {
    let bytes = support::map_bytes("hand-jewel");
    for at in (0..bytes.len()).step_by(3) {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        let Ok(map) = from_bytes::<crush::CrushMap>(bad) else { continue };
        let weights = vec![crush::WEIGHT_ONE; 24];
        for rule in 0..9 {
            map.do_rule(rule, 7, 4, &weights, -1);
        }
    }
}
