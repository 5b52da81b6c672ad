//! Every object of the public corpus that we have a type for: read, written back, and damaged.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::reference::{corpus_files, hex, lines, unhex};
use crate::samples::{SAMPLES, sample};

fn release_16() -> Vec<(String, Bytes)> {
    let lines = lines("encodings/corpus-16.2.0-90.jsonl.xz");
    let text = |v: &serde_json::Value| v.as_str().expect("text").to_owned();
    lines.iter().map(|l| (text(&l["type"]), unhex(&text(&l["hex"])))).collect()
}

/// Why an object is not written back as it was.
fn excuse(kind: &str, bytes: &Bytes) -> Option<&'static str> {
    match kind {
        "MgrMap" | "MgrMap::ModuleInfo" | "MgrMap::StandbyInfo" => Some("we keep no options of Ceph's modules"),
        "OSDSuperblock" if bytes[0] == 9 => Some("16.2.15 writes version 10"),
        "pg_missing_item" if bytes[12..24] != [0xff; 12] => Some("written for a peer of release 12"),
        _ => None,
    }
}

#[test]
fn what_release_16_wrote_is_written_back_byte_for_byte() {
    let (mut seen, mut wrong) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for (kind, bytes) in release_16() {
        let Some(sample) = sample(&kind) else { continue };
        *seen.entry(sample.name).or_default() += 1;
        match (sample.rewrite)(bytes.clone()) {
            Ok(again) if again == bytes || excuse(&kind, &bytes).is_some() => {}
            Ok(again) => wrong.push(format!("{kind}\n  was {}\n  is  {}", hex(&bytes), hex(&again))),
            Err(e) => wrong.push(format!("{kind}: {e}: {}", hex(&bytes))),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let missing: Vec<_> = SAMPLES.iter().map(|s| s.name).filter(|n| !seen.contains_key(n)).collect();
    println!("{} objects of {} types; no sample of {missing:?}", seen.values().sum::<usize>(), seen.len());
}

#[test]
fn what_releases_18_and_20_wrote_is_read() {
    for release in ["18.2.0", "20.3.0"] {
        let (mut count, mut wrong) = (0, BTreeSet::new());
        for (kind, bytes) in corpus_files(release) {
            let Some(sample) = sample(&kind) else { continue };
            count += 1;
            match (sample.read)(bytes.clone()) {
                Ok(0) => {}
                Ok(left) => drop(wrong.insert(format!("{kind}: {left} bytes left"))),
                Err(e) => drop(wrong.insert(format!("{kind}: {e}"))),
            }
        }
        assert!(wrong.is_empty(), "{release}: {wrong:#?}");
        println!("{count} objects of {release}");
    }
}

#[test]
fn damaged_objects_are_errors_or_values_but_no_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let mut tries = 0;
    let recorded = crate::recorded::vectors().into_iter().map(|v| (v.kind, v.bytes));
    for (kind, bytes) in recorded.chain(release_16()) {
        let Some(sample) = sample(&kind) else { continue };
        if bytes.is_empty() || bytes.len() > 20_000 {
            continue;
        }
        for _ in 0..50 {
            tries += 2;
            let cut = random(bytes.len());
            assert!((sample.rewrite)(bytes.slice(..cut)).is_err(), "{kind} cut to {cut} bytes is whole");
            let mut flipped = bytes.to_vec();
            for _ in 0..=random(3) {
                flipped[random(bytes.len())] ^= 1 << random(8);
            }
            // Whatever comes of it, what is written must be readable again.
            if let Ok(again) = (sample.rewrite)(flipped.into()) {
                assert!((sample.rewrite)(again.clone()).is_ok(), "{kind}: {}", hex(&again));
            }
        }
    }
    println!("{tries} damaged objects");
}
