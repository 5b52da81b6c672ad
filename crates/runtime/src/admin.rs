//! Commands to a running daemon: over its admin socket (`ceph daemon NAME …`), or from within the
//! process.
//!
//! On the socket a client writes a JSON command that ends in a zero byte or a newline; the answer is
//! its length as a big-endian u32, then the body (Ceph: `AdminSocket::do_accept`).

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Longer commands are refused.
const COMMAND_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct AdminRequest {
    pub command: String,
    pub reply: oneshot::Sender<String>,
}

/// Sends commands to a node that [`crate::run_node`] runs. Any thread may.
#[derive(Debug, Clone)]
pub struct AdminHandle(mpsc::UnboundedSender<AdminRequest>);

impl AdminHandle {
    /// A handle, and the other end for [`crate::RuntimeConfig`].
    pub fn new() -> (Self, AdminQueue) {
        let (tx, rx) = mpsc::unbounded_channel();
        let handle = Self(tx);
        (handle.clone(), AdminQueue { requests: rx, handle })
    }

    /// Wakes the node with an empty command whose answer nobody reads.
    pub fn poke(&self) {
        let (reply, _) = oneshot::channel();
        // A node that is gone needs no waking.
        let _ = self.0.send(AdminRequest { command: String::new(), reply });
    }

    /// The node's answer; `None` if it is gone.
    pub async fn command(&self, command: String) -> Option<String> {
        let (reply, answer) = oneshot::channel();
        self.0.send(AdminRequest { command, reply }).ok()?;
        answer.await.ok()
    }

    /// As [`Self::command`], for threads without a runtime.
    pub fn command_blocking(&self, command: String) -> Option<String> {
        let (reply, answer) = oneshot::channel();
        self.0.send(AdminRequest { command, reply }).ok()?;
        answer.blocking_recv().ok()
    }
}

/// What handles send.
#[derive(Debug)]
pub struct AdminQueue {
    pub(crate) requests: mpsc::UnboundedReceiver<AdminRequest>,
    /// For the admin socket, which asks the same node.
    pub(crate) handle: AdminHandle,
}

/// Listens at `path`, in place of what a dead process left there.
pub(crate) fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        anyhow::bail!("the admin socket {} belongs to a running daemon; stop that first", path.display());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace the admin socket {}", path.display()));
        }
        _ => {}
    }
    UnixListener::bind(path).with_context(|| format!("cannot make the admin socket {}", path.display()))
}

/// Removes the socket when the daemon ends.
#[derive(Debug)]
pub(crate) struct SocketFile(pub PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) async fn serve(listener: UnixListener, handle: AdminHandle) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let handle = handle.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve_one(stream, handle).await {
                        tracing::debug!("admin socket: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("admin socket: {error}");
                // Out of descriptors, most likely: give others the time to return some.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(stream: UnixStream, handle: AdminHandle) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let Some(command) = read_command(&mut reader).await? else { return Ok(()) };
    let Some(body) = handle.command(command).await else { return Ok(()) };
    let len = u32::try_from(body.len()).map_err(|_| io::Error::other("an answer of 4 GiB"))?;
    writer.write_all(&len.to_be_bytes()).await?;
    writer.write_all(body.as_bytes()).await
}

/// `None` if the client hung up before its command ended.
async fn read_command(reader: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut reader = tokio::io::BufReader::new(reader.take(COMMAND_MAX));
    let mut command = Vec::new();
    loop {
        match reader.read_u8().await {
            Ok(0 | b'\n') => break,
            Ok(byte) => command.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(String::from_utf8_lossy(&command).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_ends_in_a_zero_or_a_newline() {
        for input in [&b"{\"prefix\":\"version\"}\0rest"[..], b"{\"prefix\":\"version\"}\n"] {
            let mut reader = input;
            let command = read_command(&mut reader).await.unwrap();
            assert_eq!(command.as_deref(), Some("{\"prefix\":\"version\"}"));
        }
        let mut cut: &[u8] = b"{\"pre";
        assert_eq!(read_command(&mut cut).await.unwrap(), None);
    }
}
