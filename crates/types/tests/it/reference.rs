//! Where recorded bytes are found: those in the repository, and the reference beside it.

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;

pub fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A file of the reference, or nothing where the reference is not at hand.
pub fn path(file: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let root = std::env::var_os("SPIRULA_REFERENCE").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let path = root.join(file);
    if !path.is_file() {
        println!("skipped: {} is not at hand", path.display());
    }
    path.is_file().then_some(path)
}

/// The lines of an xz-packed file of the reference.
pub fn lines(file: &str) -> Vec<serde_json::Value> {
    let Some(path) = path(file) else { return Vec::new() };
    let out = Command::new("xzcat").arg(path).output().expect("xzcat is on every Debian");
    let text = String::from_utf8(out.stdout).expect("the reference is text");
    text.lines().map(|l| serde_json::from_str(l).expect("each line is an object")).collect()
}

/// Type and bytes of each object of the public corpus of one release.
pub fn corpus_files(release: &str) -> Vec<(String, Bytes)> {
    let Some(path) = path(&format!("corpus/corpus-{release}.tar.xz")) else { return Vec::new() };
    let out = Command::new("xzcat").arg(path).output().expect("xzcat is on every Debian");
    untar(&out.stdout)
        .filter_map(|(name, bytes)| {
            let (kind, _) = name.strip_prefix(&format!("{release}/objects/"))?.split_once('/')?;
            Some((kind.to_owned(), bytes))
        })
        .collect()
}

/// The regular files of a tar archive. Names here are short enough for the plain header, or come in a
/// GNU long-name entry.
fn untar(tar: &[u8]) -> impl Iterator<Item = (String, Bytes)> + '_ {
    const BLOCK: usize = 512;
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim_end_matches(['\0', ' ']).to_owned();
    let (mut at, mut long_name) = (0, None);
    std::iter::from_fn(move || {
        while at + BLOCK <= tar.len() && tar[at] != 0 {
            let header = &tar[at..at + BLOCK];
            let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).expect("a tar size is octal");
            let body = &tar[at + BLOCK..at + BLOCK + size];
            at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
            match header[156] {
                b'L' => long_name = Some(text(body)),
                b'0' | 0 => {
                    let name = long_name.take().unwrap_or_else(|| text(&header[..100]));
                    return Some((name, Bytes::copy_from_slice(body)));
                }
                _ => long_name = None,
            }
        }
        None
    })
}
