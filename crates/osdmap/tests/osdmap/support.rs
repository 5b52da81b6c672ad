//! The recorded vectors.

use std::io::Read;
use std::path::{Path, PathBuf};

use osdmap::{Incremental, OsdMap, state};
use types::{PgId, UTime};

pub fn testdata(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file)
}

pub fn gunzip(file: &str) -> Vec<u8> {
    let path = testdata(file);
    let source = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(source).read_to_end(&mut out).expect("a gzip file");
    out
}

pub fn map_bytes(epoch: u32) -> Vec<u8> {
    gunzip(&format!("osdmap.{epoch:04}.bin.gz"))
}

pub fn map(epoch: u32) -> OsdMap {
    denc::from_bytes(map_bytes(epoch)).expect("a recorded map decodes")
}

/// Lines of `EPOCH HEX`.
pub fn hex_lines(file: &str) -> Vec<(u32, Vec<u8>)> {
    let text = String::from_utf8(gunzip(file)).expect("text");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    text.lines()
        .map(|line| {
            let (epoch, hex) = line.split_once(' ').expect("EPOCH HEX");
            (epoch.parse().expect("a number"), hex.as_bytes().chunks(2).map(byte).collect())
        })
        .collect()
}

/// The map that osdmaptool printed and mapped was two epochs beyond the last recorded one.
pub fn map_41() -> OsdMap {
    let mut map = map(39);
    let mut inc = Incremental::after(&map);
    inc.new_up_thru.insert(1, 40);
    inc.new_pg_temp.insert(PgId::new(2, 4), Vec::new());
    inc.set_state(&map, 0, state::EXISTS, true);
    map.apply(&inc).expect("applies");
    let mut inc = Incremental::after(&map);
    // 2026-11-21T02:30:06.953115
    inc.modified = UTime { sec: 1_795_228_206, nsec: 953_115_000 };
    map.apply(&inc).expect("applies");
    map
}
