//! What we call ourselves: honest, and in the form that those who parse Ceph's version expect.

use crate::dump::Dump;

/// The release whose protocol and commands we speak.
pub const RELEASE: &str = "pacific";

/// `16.2.15-spirula-0.1.0`.
pub const SHORT: &str = concat!("16.2.15-spirula-", env!("CARGO_PKG_VERSION"));

/// The commit that the program was built from, if the build was told.
pub const SHA: &str = match option_env!("SPIRULA_SHA") {
    Some(sha) => sha,
    None => "0000000000000000000000000000000000000000",
};

/// What a daemon answers that is told `version`.
pub fn dump() -> Dump {
    Dump::obj().with("version", SHORT).with("release", RELEASE).with("release_type", "stable")
}

/// `16.2.15-spirula-0.1.0`.
pub fn short() -> String {
    SHORT.to_owned()
}

/// `ceph version 16.2.15-spirula-0.1.0 (SHA) pacific (stable)`.
pub fn full() -> String {
    format!("ceph version {SHORT} ({SHA}) {RELEASE} (stable)")
}
