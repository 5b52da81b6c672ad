//! Watches and notifies: operations that go on after their first answer (Ceph: `Objecter::LingerOp`).
//!
//! A watch is registered at its object's PG and proved by pings. Wherever the PG goes, and whenever the
//! connection to its OSD is lost, it is registered again; only if the PG says that it has given the watch up
//! is it lost. A notify is answered with a number, and ends when `MWatchNotify` says so; if its OSD is lost
//! meanwhile, it is sent anew.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use denc::{Decoder, Encoder};
use messages::{MWatchNotify, watch_event};
use node::{ConnId, Now, Output};
use types::errno;
use types::osd_op::{OpArgs, OsdOp, op, osd_flag, watch_op};

use crate::objecter::{Objecter, OpId};
use crate::op::{ObjectOp, OpReply};
use crate::request::{Event, Notified, Reply, RequestId};

/// How often a watch is proved (Ceph: `objecter_tick_interval`).
const PING_EVERY: Duration = Duration::from_secs(5);
/// After a failed registration.
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Register,
    Reconnect,
    Ping,
    Notify,
}

#[derive(Debug, Clone)]
enum Kind {
    /// `registered`: the PG has it; the caller was told.
    Watch {
        timeout: Duration,
        registered: bool,
        generation: u32,
        ping_at: Option<Duration>,
    },
    Notify {
        timeout: Duration,
        payload: Bytes,
        notify_id: Option<u64>,
    },
}

#[derive(Debug, Clone)]
struct Linger {
    request: RequestId,
    /// The object, with no ops.
    object: ObjectOp,
    kind: Kind,
    /// The connection to the OSD that leads its PG, as of the last answer.
    conn: Option<ConnId>,
}

#[derive(Debug, Default)]
pub(crate) struct Lingers {
    by_cookie: BTreeMap<u64, Linger>,
    ops: BTreeMap<OpId, (u64, Step)>,
    last_cookie: u64,
    pub done: VecDeque<(RequestId, Reply)>,
    pub events: VecDeque<Event>,
}

impl Lingers {
    /// Begins a watch; the reply names its cookie.
    pub fn watch(&mut self, now: Now, request: RequestId, object: ObjectOp, timeout: Duration, to: &mut Sender<'_>) {
        let kind = Kind::Watch { timeout, registered: false, generation: 0, ping_at: None };
        let cookie = self.begin(request, object, kind);
        self.send(now, cookie, Step::Register, to);
    }

    pub fn notify(
        &mut self,
        now: Now,
        request: RequestId,
        object: ObjectOp,
        notify: (Bytes, Duration),
        to: &mut Sender<'_>,
    ) {
        let (payload, timeout) = notify;
        let cookie = self.begin(request, object, Kind::Notify { timeout, payload, notify_id: None });
        self.send(now, cookie, Step::Notify, to);
    }

    fn begin(&mut self, request: RequestId, object: ObjectOp, kind: Kind) -> u64 {
        self.last_cookie += 1;
        self.by_cookie.insert(self.last_cookie, Linger { request, object, kind, conn: None });
        self.last_cookie
    }

    /// Ends a watch; gives the operation that tells the PG.
    pub fn unwatch(&mut self, cookie: u64) -> Option<ObjectOp> {
        let linger = self.by_cookie.remove(&cookie)?;
        self.ops.retain(|_, (c, _)| *c != cookie);
        Some(watch_message(&linger.object, cookie, watch_op::UNWATCH, 0, Duration::ZERO))
    }

    /// A watcher's answer to a notify.
    pub fn ack(&self, cookie: u64, notify_id: u64, reply: &Bytes) -> Option<ObjectOp> {
        let mut e = Encoder::new(0);
        e.u64(notify_id);
        e.u64(cookie);
        e.blob(reply);
        let ack = OsdOp::new(op::NOTIFY_ACK, OpArgs::Notify { cookie }, e.finish());
        Some(self.by_cookie.get(&cookie)?.object.clone().push(ack))
    }

    pub fn cancel(&mut self, request: RequestId) {
        self.by_cookie.retain(|_, l| l.request != request);
        self.ops.retain(|_, (cookie, _)| self.by_cookie.contains_key(cookie));
    }

    fn send(&mut self, now: Now, cookie: u64, step: Step, to: &mut Sender<'_>) {
        let Some(linger) = self.by_cookie.get_mut(&cookie) else { return };
        // What is under way for it is of the past.
        self.ops.retain(|op, (c, _)| {
            let mine = *c == cookie;
            if mine {
                to.objecter.cancel(*op);
            }
            !mine
        });
        let op = match (&mut linger.kind, step) {
            (Kind::Notify { timeout, payload, notify_id }, _) => {
                *notify_id = None;
                let mut e = Encoder::new(0);
                e.u32(1); // a version that nobody reads any more
                e.u32(timeout.as_secs().max(1) as u32);
                e.blob(payload);
                let op = OsdOp::new(op::NOTIFY, OpArgs::Notify { cookie }, e.finish());
                linger.object.clone().push(op)
            }
            (Kind::Watch { timeout, generation, ping_at, .. }, step) => {
                *ping_at = None;
                let what = match step {
                    Step::Ping => watch_op::PING,
                    Step::Reconnect => watch_op::RECONNECT,
                    _ => watch_op::WATCH,
                };
                if step == Step::Reconnect {
                    *generation += 1;
                }
                watch_message(&linger.object, cookie, what, *generation, *timeout)
            }
        };
        linger.conn = None;
        let id = to.objecter.submit(now, op, to.out);
        self.ops.insert(id, (cookie, step));
    }

    /// Whether the operation was one of ours.
    pub fn op_done(&mut self, now: Now, id: OpId, reply: &OpReply, to: &mut Sender<'_>) -> bool {
        let Some((cookie, step)) = self.ops.remove(&id) else { return false };
        let Some(linger) = self.by_cookie.get_mut(&cookie) else { return true };
        linger.conn = to.objecter.conn_for(&linger.object);
        let errno = (-reply.result).max(0);
        match (&mut linger.kind, step) {
            (Kind::Notify { notify_id, .. }, _) if errno == 0 => {
                *notify_id = Decoder::new(reply.data(0)).u64().ok();
            }
            (Kind::Notify { .. }, _) => self.end(cookie, Reply::Failed(errno)),
            (Kind::Watch { registered, ping_at, .. }, _) if errno == 0 => {
                *ping_at = Some(now.mono + PING_EVERY);
                if !std::mem::replace(registered, true) {
                    self.done.push_back((linger.request, Reply::Watching(cookie)));
                }
            }
            (Kind::Watch { .. }, Step::Ping) => self.send(now, cookie, Step::Reconnect, to),
            (Kind::Watch { registered: true, .. }, _) if matches!(errno, errno::ENOTCONN | errno::ENOENT) => {
                self.by_cookie.remove(&cookie);
                self.events.push_back(Event::WatchLost { cookie, errno });
            }
            (Kind::Watch { registered: true, ping_at, .. }, _) => *ping_at = Some(now.mono + RETRY),
            (Kind::Watch { .. }, _) => self.end(cookie, Reply::Failed(errno)),
        }
        true
    }

    fn end(&mut self, cookie: u64, reply: Reply) {
        if let Some(linger) = self.by_cookie.remove(&cookie) {
            self.done.push_back((linger.request, reply));
        }
    }

    /// `MWatchNotify`.
    pub fn message(&mut self, now: Now, m: MWatchNotify, to: &mut Sender<'_>) {
        let Some(linger) = self.by_cookie.get(&m.cookie) else { return };
        match (m.opcode, &linger.kind) {
            (watch_event::NOTIFY, Kind::Watch { .. }) => self.events.push_back(Event::Notify {
                cookie: m.cookie,
                notify_id: m.notify_id,
                notifier: m.notifier_gid,
                payload: m.payload,
            }),
            // It may have gone by a mistake, or for good: registering again tells.
            (watch_event::DISCONNECT, Kind::Watch { .. }) => self.send(now, m.cookie, Step::Reconnect, to),
            (watch_event::NOTIFY_COMPLETE, Kind::Notify { notify_id, .. })
                if notify_id.is_none_or(|id| id == m.notify_id) =>
            {
                let outcome = outcome(&m);
                self.end(m.cookie, Reply::Notified(outcome));
            }
            _ => {}
        }
    }

    /// A connection is gone.
    pub fn reset(&mut self, now: Now, conn: ConnId, to: &mut Sender<'_>) {
        self.again(now, to, |l, _| l.conn == Some(conn));
    }

    /// A map changed: those whose PG is led by another OSD now are registered there.
    pub fn maps_changed(&mut self, now: Now, to: &mut Sender<'_>) {
        self.again(now, to, |l, objecter| l.conn.is_some() && objecter.conn_for(&l.object) != l.conn);
    }

    fn again(&mut self, now: Now, to: &mut Sender<'_>, lost: impl Fn(&Linger, &Objecter) -> bool) {
        let lost: Vec<(u64, Step)> = self
            .by_cookie
            .iter()
            .filter(|(_, l)| lost(l, to.objecter))
            .map(|(cookie, l)| match l.kind {
                Kind::Watch { registered: true, .. } => (*cookie, Step::Reconnect),
                Kind::Watch { .. } => (*cookie, Step::Register),
                Kind::Notify { .. } => (*cookie, Step::Notify),
            })
            .collect();
        for (cookie, step) in lost {
            self.send(now, cookie, step, to);
        }
    }

    pub fn next_wakeup(&self) -> Option<Duration> {
        self.by_cookie.values().filter_map(Linger::ping_at).min()
    }

    pub fn wake(&mut self, now: Now, to: &mut Sender<'_>) {
        let due = |l: &Linger| l.ping_at().is_some_and(|at| at <= now.mono);
        let due: Vec<u64> = self.by_cookie.iter().filter(|(_, l)| due(l)).map(|(cookie, _)| *cookie).collect();
        for cookie in due {
            self.send(now, cookie, Step::Ping, to);
        }
    }
}

impl Linger {
    fn ping_at(&self) -> Option<Duration> {
        match self.kind {
            Kind::Watch { ping_at, .. } => ping_at,
            Kind::Notify { .. } => None,
        }
    }
}

/// What operations are sent with.
pub(crate) struct Sender<'a> {
    pub objecter: &'a mut Objecter,
    pub out: &'a mut Vec<Output>,
}

fn watch_message(object: &ObjectOp, cookie: u64, what: u8, generation: u32, timeout: Duration) -> ObjectOp {
    let args = OpArgs::Watch { cookie, ver: 0, op: what, generation, timeout: timeout.as_secs() as u32 };
    // A ping changes nothing, but goes in order with what does.
    object.clone().push(OsdOp::new(op::WATCH, args, Bytes::new())).with_flags(osd_flag::WRITE)
}

/// Who answered what, and who did not.
fn outcome(m: &MWatchNotify) -> Notified {
    Notified { errno: -m.return_code, replies: denc::from_bytes(m.replies.clone()).unwrap_or_default() }
}
