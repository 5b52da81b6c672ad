//! `spirula crush test` beside `crushtool --test`, line by line.

use crush::{CrushMap, Trial, WEIGHT_ONE};

use crate::support::{gunzip, map, testdata};

#[test]
fn a_trial_prints_what_crushtool_prints() {
    let map: CrushMap = map("hand-jewel");
    let first = Trial {
        inputs: Some((0, 99)),
        replicas: Some((4, 4)),
        weights: [(3, 0), (5, WEIGHT_ONE / 2)].into(),
        statistics: true,
        utilization: true,
        ..Trial::default()
    };
    let second = Trial {
        inputs: Some((0, 40)),
        replicas: Some((6, 6)),
        pool: Some(7),
        bad_mappings: true,
        utilization_all: true,
        ..Trial::default()
    };
    let third =
        Trial { inputs: Some((5, 5)), rules: Some((2, 2)), mappings: true, statistics: true, ..Trial::default() };
    let mut ours = String::new();
    for trial in [first, second, third] {
        trial.run(&map, &mut ours).expect("a string takes anything");
    }
    let theirs = String::from_utf8(gunzip(&testdata().join("hand-jewel.trial.txt.gz"))).expect("text");
    for (n, (a, b)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(a, b, "line {}", n + 1);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}
