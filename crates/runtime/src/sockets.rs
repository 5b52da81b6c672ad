//! Sockets that name themselves when something happens to them.
//!
//! All sockets are polled by one task. Each has a waker of its own, which puts the socket's number on
//! a list and wakes the task, so that a turn of the loop touches just the sockets that are ready.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use msgr::TxQueue;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Numbers of ready sockets, and the task to wake.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<ReadyInner>);

#[derive(Debug, Default)]
struct ReadyInner {
    list: Vec<u64>,
    task: Option<Waker>,
}

impl Ready {
    fn push(&self, id: u64) {
        let mut inner = self.0.lock().expect("nobody panics with the list");
        inner.list.push(id);
        if let Some(task) = inner.task.take() {
            task.wake();
        }
    }

    /// Moves the list to `into`.
    pub fn take(&self, into: &mut Vec<u64>) {
        let mut inner = self.0.lock().expect("nobody panics with the list");
        into.append(&mut inner.list);
    }

    pub fn any(&self) -> bool {
        !self.0.lock().expect("nobody panics with the list").list.is_empty()
    }

    /// Whether any is ready; else the task is woken when one is.
    pub fn poll_any(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.lock().expect("nobody panics with the list");
        if !inner.list.is_empty() {
            return Poll::Ready(());
        }
        match &mut inner.task {
            Some(task) => task.clone_from(cx.waker()),
            None => inner.task = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

#[derive(Debug)]
struct SocketWaker {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for SocketWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.id);
        }
    }
}

/// A waker, and the handle that arms it again.
#[derive(Debug)]
pub(crate) struct Alarm {
    shared: Arc<SocketWaker>,
    waker: Waker,
}

impl Alarm {
    /// Rings at once, so that the socket is polled a first time.
    pub fn new(id: u64, ready: &Arc<Ready>) -> Self {
        let shared = Arc::new(SocketWaker { id, queued: AtomicBool::new(false), ready: ready.clone() });
        let waker = Waker::from(shared.clone());
        waker.wake_by_ref();
        Self { shared, waker }
    }

    /// The list's entry has been taken: the next event makes another.
    pub fn rearm(&self) {
        self.shared.queued.store(false, Ordering::Release);
    }

    /// Puts the socket on the list again: there is more to do than one turn allows.
    pub fn ring(&self) {
        self.waker.wake_by_ref();
    }

    /// Rings after a while.
    pub fn ring_in(&self, pause: Duration) {
        let waker = self.waker.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            waker.wake();
        });
    }
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    pub alarm: Alarm,
    /// The peer takes too little of what we send: nothing more is read from it for now.
    pub paused: bool,
}

/// Chunks a vectored write takes at most.
const SLICES: usize = 64;

impl Socket {
    pub fn new(stream: TcpStream, alarm: Alarm) -> Self {
        Self { stream, alarm, paused: false }
    }

    /// Reads what is there, once. `Ok(None)`: nothing; the alarm rings when there is.
    pub fn read(&mut self, buf: &mut BytesMut) -> io::Result<Option<usize>> {
        let mut cx = Context::from_waker(&self.alarm.waker);
        let read = std::pin::pin!(self.stream.read_buf(buf));
        match read.poll(&mut cx) {
            Poll::Ready(n) => n.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Writes as much as the socket takes. `Ok(false)`: not all; the alarm rings when it takes more.
    pub fn write(&mut self, tx: &mut TxQueue) -> io::Result<bool> {
        let mut cx = Context::from_waker(&self.alarm.waker);
        while !tx.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let n = tx.slices(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(&mut cx, &slices[..n]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => tx.advance(n),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    pub alarm: Alarm,
}

impl Acceptor {
    pub fn new(listener: TcpListener, alarm: Alarm) -> Self {
        Self { listener, alarm }
    }

    /// The next connection; `None` if there is none, and the alarm rings when there is.
    pub fn accept(&mut self) -> Option<io::Result<(TcpStream, std::net::SocketAddr)>> {
        let mut cx = Context::from_waker(&self.alarm.waker);
        match self.listener.poll_accept(&mut cx) {
            Poll::Ready(accepted) => Some(accepted),
            Poll::Pending => None,
        }
    }
}
