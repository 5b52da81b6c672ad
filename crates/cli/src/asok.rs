//! Asking a daemon at its admin socket (Ceph's protocol: a command in JSON up to a NUL, an answer with
//! a 32-bit big-endian length before it).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The answers of daemons are small; more than this is a broken peer.
const ANSWER_MAX: u32 = 64 << 20;

/// Sends one command and gives the answer.
///
/// # Errors
/// If the daemon does not run or does not answer within `patience`.
pub fn ask(socket: &Path, command: &serde_json::Value, patience: Duration) -> Result<String> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("nobody answers at {}", socket.display()))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(format!("{command}\0").as_bytes())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).with_context(|| format!("no answer from {}", socket.display()))?;
    let length = u32::from_be_bytes(length);
    if length > ANSWER_MAX {
        bail!("{} announces an answer of {length} bytes", socket.display());
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).with_context(|| format!("half an answer from {}", socket.display()))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
