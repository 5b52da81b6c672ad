//! The text form, against what `crushtool -d` wrote.

use crush::CrushMap;

use crate::support;

fn recorded(name: &str) -> String {
    String::from_utf8(support::gunzip(&support::testdata().join(format!("{name}.txt.gz")))).expect("text")
}

#[test]
fn every_recorded_map_decompiles_as_crushtool_decompiled_it() {
    for name in support::MAPS {
        assert_eq!(support::map(name).decompile(), recorded(name), "{name}");
    }
}

#[test]
fn every_recorded_text_compiles_to_the_recorded_map() {
    for name in support::MAPS {
        let map = CrushMap::compile(&recorded(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(map, support::map(name), "{name}");
        assert_eq!(denc::to_bytes(&map, u64::MAX).as_ref(), support::map_bytes(name), "{name}");
    }
}

#[test]
fn a_text_with_a_mistake_says_where_it_is() {
    let text = recorded("hand-jewel");
    for (from, to, wanted) in [
        ("type 1 host", "type 1 hos", "bucket type 'host' is not defined"),
        ("\talg straw2", "\talg straw3", "unknown bucket alg 'straw3'"),
        ("type replicated", "type mirrored", "'mirrored' is no rule type"),
        ("step take default\n", "step take nowhere\n", "item 'nowhere' not defined"),
        ("tunable choose_total_tries", "tunable choose_many", "tunable choose_many not recognized"),
        ("item osd.7 weight", "item osd.7 wait", "'wait' makes no sense in a bucket"),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        let e = CrushMap::compile(&bad).expect_err(to);
        assert!(e.to_string().contains(wanted), "{e}");
        assert!(e.line > 1, "{e}");
    }
}

#[test]
fn any_half_of_a_text_is_refused_or_read_but_never_panics() {
    let text = recorded("hand-jewel");
    for end in (0..text.len()).step_by(11) {
        let _ = CrushMap::compile(&text[..end]);
        let _ = CrushMap::compile(&text[end..]);
    }
}
