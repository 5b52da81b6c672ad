//! Every recorded `crushtool --test` run: 108 of 1,024 mappings.

use crush::{CrushMap, WEIGHT_ONE, Workspace};

use crate::support;

/// One recorded run: its command line, and the lines that it printed.
struct Run {
    map: CrushMap,
    rule: u32,
    count: usize,
    weights: Vec<u32>,
    lines: Vec<String>,
}

fn load(file: &str) -> Run {
    let text = String::from_utf8(support::gunzip(&support::testdata().join(file))).expect("text");
    let map = support::map(file.split('.').next().expect("MAP.RULE.COUNT"));
    let mut lines = text.lines();
    let mut words = lines.next().expect("the command line").split_whitespace();
    let mut weights = vec![WEIGHT_ONE; usize::try_from(map.max_devices()).expect("not negative")];
    let (mut rule, mut count) = (0, 0);
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("an argument");
        match word {
            "--rule" => rule = next().parse().expect("a number"),
            "--num-rep" => count = next().parse().expect("a number"),
            "--weight" => {
                let device: usize = next().parse().expect("a number");
                let weight: f32 = next().parse().expect("a number");
                weights[device] = (weight * WEIGHT_ONE as f32) as u32;
            }
            _ => {}
        }
    }
    let lines = lines.filter(|l| l.starts_with("CRUSH rule")).map(str::to_owned).collect();
    Run { map, rule, count, weights, lines }
}

#[test]
fn every_recorded_mapping_comes_out_the_same() {
    let mut files: Vec<String> = std::fs::read_dir(support::testdata())
        .expect("testdata")
        .map(|e| e.expect("an entry").file_name().into_string().expect("ASCII"))
        .filter(|f| f.ends_with(".mappings.gz"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 108);
    let mut work = Workspace::default();
    for file in files {
        let run = load(&file);
        assert_eq!(run.lines.len(), 1024, "{file}");
        for (x, line) in (0u32..).zip(&run.lines) {
            // crushtool hands no pool over, so the choose_args for all pools count at most.
            let got = run.map.do_rule_in(&mut work, run.rule, x, run.count, &run.weights, -1);
            let list: Vec<String> = got.iter().map(i32::to_string).collect();
            let printed = format!("CRUSH rule {} x {x} [{}]", run.rule, list.join(","));
            assert_eq!(&printed, line, "{file}");
        }
    }
}
