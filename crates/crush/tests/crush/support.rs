//! The recorded vectors.

use std::io::Read;
use std::path::{Path, PathBuf};

use crush::CrushMap;

pub const MAPS: [&str; 10] = [
    "build-list",
    "build-straw",
    "build-straw2",
    "build-tree",
    "build-uniform",
    "hand-argonaut",
    "hand-bobtail",
    "hand-firefly",
    "hand-hammer",
    "hand-jewel",
];

pub fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

pub fn gunzip(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut out).expect("a gzip file");
    out
}

pub fn map_bytes(name: &str) -> Vec<u8> {
    gunzip(&testdata().join(format!("{name}.bin.gz")))
}

pub fn map(name: &str) -> CrushMap {
    denc::from_bytes(map_bytes(name)).expect("a recorded map decodes")
}
