//! Watches and notifies: who listens at an object, and who waits for listeners to answer.
//!
//! That a client watches an object is kept in the object's info and so survives us. What is kept here
//! is the rest: its connection, its deadline, and the notifies under way. All of it is lost at an
//! interval change; clients then watch and notify anew.
//!
//! Ceph: `Watch`, `Notify`, `PrimaryLogPG::do_osd_op_effects`.
//!
//! Invariants:
//! - A notify names only watches that are here; each of them has it among its pending ones.
//! - A watch without a connection has a deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use denc::Encoder;
use messages::{MWatchNotify, Message, watch_event};
use node::{ConnId, Now};
use types::errno::ETIMEDOUT;
use types::{EntityAddr, EntityName, Epoch, HObject, Version, WatchInfo};

/// A watch at its object.
pub type WatchKey = (u64, EntityName);

/// What an op vector does to watches once it has taken effect. To be given to [`Watches::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    pub soid: HObject,
    pub conn: ConnId,
    pub entity: EntityName,
    /// The object's, after the op.
    pub user_version: Version,
    pub list: Vec<Effect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Connect {
        info: WatchInfo,
        /// Whether the client proves by pings that it lives; old ones only by their connection.
        will_ping: bool,
    },
    Disconnect {
        watch: WatchKey,
        /// Whether the client is told, since it was not its wish.
        tell: bool,
    },
    Ping {
        cookie: u64,
    },
    Notify {
        notify_id: u64,
        cookie: u64,
        timeout: Duration,
        payload: Bytes,
    },
    Ack {
        notify_id: u64,
        /// `None` for old clients: all watches of the client.
        cookie: Option<u64>,
        reply: Bytes,
    },
}

/// A message to a client.
pub type Send = (ConnId, Message);

#[derive(Debug)]
struct Watch {
    conn: Option<ConnId>,
    timeout: Duration,
    addr: EntityAddr,
    will_ping: bool,
    last_ping: Duration,
    /// When it is given up.
    deadline: Option<Duration>,
    pending: BTreeSet<u64>,
}

impl Watch {
    fn unconnected(now: Duration, info: &WatchInfo) -> Self {
        let timeout = Duration::from_secs(info.timeout_seconds.into());
        Self {
            conn: None,
            timeout,
            addr: info.addr,
            will_ping: false,
            last_ping: Duration::ZERO,
            deadline: Some(now + timeout),
            pending: BTreeSet::new(),
        }
    }

    fn pinged(&mut self, now: Duration) {
        self.last_ping = now;
        self.deadline = Some(now + self.timeout);
    }
}

#[derive(Debug)]
struct Notify {
    soid: HObject,
    client: ConnId,
    client_gid: u64,
    cookie: u64,
    version: Version,
    payload: Bytes,
    deadline: Duration,
    waiting: BTreeSet<WatchKey>,
    /// By the watcher's global id and cookie.
    replies: Vec<((u64, u64), Bytes)>,
}

/// A watch whose client was silent too long: to be taken out of the object's info with
/// [`crate::ops::remove_watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    pub soid: HObject,
    pub watch: WatchKey,
}

/// The watches and notifies of one PG.
#[derive(Debug, Default)]
pub struct Watches {
    objects: BTreeMap<HObject, BTreeMap<WatchKey, Watch>>,
    notifies: BTreeMap<u64, Notify>,
    last_id: u32,
}

impl Watches {
    /// A number for a notify (Ceph: `OSDService::get_next_id`).
    pub(crate) fn next_notify_id(&mut self, epoch: Epoch) -> u64 {
        self.last_id = self.last_id.wrapping_add(1);
        u64::from(epoch) << 32 | u64::from(self.last_id)
    }

    /// Learns of the watches that an object's info holds. Those not known yet, from before this
    /// interval, have their timeout to reconnect (Ceph: `populate_obc_watchers`).
    pub(crate) fn adopt(&mut self, now: Now, soid: &HObject, watchers: &BTreeMap<WatchKey, WatchInfo>) {
        let here = match self.objects.get_mut(soid) {
            Some(here) => here,
            None => self.objects.entry(soid.clone()).or_default(),
        };
        for (key, info) in watchers {
            here.entry(*key).or_insert_with(|| Watch::unconnected(now.mono, info));
        }
    }

    /// Object, watch, its timeout and the client's address.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&HObject, &WatchKey, Duration, &EntityAddr)> {
        self.objects.iter().flat_map(|(soid, at)| at.iter().map(move |(key, w)| (soid, key, w.timeout, &w.addr)))
    }

    pub(crate) fn is_connected(&self, soid: &HObject, key: &WatchKey) -> bool {
        self.objects.get(soid).and_then(|w| w.get(key)).is_some_and(|w| w.conn.is_some())
    }

    /// Performs what an op vector decided.
    pub fn apply(&mut self, now: Now, effects: Effects, out: &mut Vec<Send>) {
        let Effects { soid, conn, entity, user_version, mut list } = effects;
        // Disconnects come first (Ceph: do_osd_op_effects).
        list.sort_by_key(|e| !matches!(e, Effect::Disconnect { .. }));
        for effect in list {
            match effect {
                Effect::Disconnect { watch, tell } => self.remove(&soid, &watch, tell, out),
                Effect::Connect { info, will_ping } => self.connect(now, &soid, conn, entity, &info, will_ping, out),
                Effect::Ping { cookie } => {
                    if let Some(w) = self.watch(&soid, &(cookie, entity)).filter(|w| w.conn.is_some()) {
                        w.pinged(now.mono);
                    }
                }
                Effect::Notify { notify_id, cookie, timeout, payload } => {
                    let notify = Notify {
                        soid: soid.clone(),
                        client: conn,
                        client_gid: entity.num.cast_unsigned(),
                        cookie,
                        version: user_version,
                        payload,
                        deadline: now.mono + timeout,
                        waiting: BTreeSet::new(),
                        replies: Vec::new(),
                    };
                    self.notify(now, notify_id, notify, out);
                }
                Effect::Ack { notify_id, cookie, reply } => self.ack(&soid, entity, notify_id, cookie, &reply, out),
            }
        }
    }

    /// A client's connection is gone: its watches stay until their time is up.
    pub fn conn_reset(&mut self, now: Now, conn: ConnId) {
        for watch in self.objects.values_mut().flat_map(BTreeMap::values_mut) {
            if watch.conn == Some(conn) {
                watch.conn = None;
                if !watch.will_ping {
                    watch.deadline = Some(now.mono + watch.timeout);
                }
            }
        }
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        let watches = self.objects.values().flat_map(BTreeMap::values).filter_map(|w| w.deadline);
        watches.chain(self.notifies.values().map(|n| n.deadline)).min()
    }

    /// Ends the notifies whose time is up and names the watches whose time is. Those are named once: if
    /// the object cannot be written now, the caller keeps them.
    pub fn expire(&mut self, now: Now, out: &mut Vec<Send>) -> Vec<Expired> {
        let late = self.notifies.iter().filter(|(_, n)| n.deadline <= now.mono).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            self.complete(id, true, out);
        }
        self.take_watches(|w| w.deadline.is_some_and(|d| d <= now.mono))
    }

    /// Names the watches of clients that were shut out (Ceph: `check_blocklisted_watchers`).
    pub fn of_addrs(&mut self, shut_out: impl Fn(&EntityAddr) -> bool) -> Vec<Expired> {
        self.take_watches(|w| shut_out(&w.addr))
    }

    /// The interval is over: nobody is told, the clients see it in the map.
    pub fn clear(&mut self) {
        self.objects.clear();
        self.notifies.clear();
    }

    /// A watch that [`Self::expire`] named and whose object cannot be written now: named again in a second.
    pub(crate) fn keep(&mut self, now: Now, expired: &Expired) {
        if let Some(watch) = self.watch(&expired.soid, &expired.watch) {
            watch.deadline = Some(now.mono + Duration::from_secs(1));
        }
    }

    fn take_watches(&mut self, mut doomed: impl FnMut(&Watch) -> bool) -> Vec<Expired> {
        let mut out = Vec::new();
        for (soid, watches) in &mut self.objects {
            for (key, watch) in watches.iter_mut().filter(|(_, w)| doomed(w)) {
                watch.deadline = None;
                out.push(Expired { soid: soid.clone(), watch: *key });
            }
        }
        out
    }

    fn watch(&mut self, soid: &HObject, key: &WatchKey) -> Option<&mut Watch> {
        self.objects.get_mut(soid)?.get_mut(key)
    }

    #[expect(clippy::too_many_arguments, reason = "one call, and a struct for it would only repeat them")]
    fn connect(
        &mut self,
        now: Now,
        soid: &HObject,
        conn: ConnId,
        entity: EntityName,
        info: &WatchInfo,
        will_ping: bool,
        out: &mut Vec<Send>,
    ) {
        let key = (info.cookie, entity);
        let watches = self.objects.entry(soid.clone()).or_default();
        let watch = watches.entry(key).or_insert_with(|| Watch::unconnected(now.mono, info));
        if watch.conn == Some(conn) {
            return;
        }
        watch.conn = Some(conn);
        watch.will_ping = will_ping;
        watch.deadline = None;
        if will_ping {
            watch.pinged(now.mono);
        }
        // Notifies that came while it was away.
        for id in &watch.pending {
            out.push((conn, notify_message(info.cookie, *id, &self.notifies[id])));
        }
    }

    fn remove(&mut self, soid: &HObject, key: &WatchKey, tell: bool, out: &mut Vec<Send>) {
        let Some(watches) = self.objects.get_mut(soid) else { return };
        let Some(watch) = watches.remove(key) else { return };
        if watches.is_empty() {
            self.objects.remove(soid);
        }
        if let (true, Some(conn)) = (tell, watch.conn) {
            let gone = MWatchNotify { opcode: watch_event::DISCONNECT, cookie: key.0, ..MWatchNotify::default() };
            out.push((conn, Message::new(gone)));
        }
        for id in watch.pending {
            self.no_longer_waiting(id, key, out);
        }
    }

    fn notify(&mut self, now: Now, id: u64, mut notify: Notify, out: &mut Vec<Send>) {
        for (key, watch) in self.objects.get_mut(&notify.soid).into_iter().flatten() {
            let silent = watch.will_ping && watch.last_ping + watch.timeout < now.mono;
            if silent {
                watch.conn = None;
                continue;
            }
            watch.pending.insert(id);
            notify.waiting.insert(*key);
            if let Some(conn) = watch.conn {
                out.push((conn, notify_message(key.0, id, &notify)));
            }
        }
        let nobody = notify.waiting.is_empty();
        self.notifies.insert(id, notify);
        if nobody {
            self.complete(id, false, out);
        }
    }

    fn ack(
        &mut self,
        soid: &HObject,
        entity: EntityName,
        id: u64,
        cookie: Option<u64>,
        reply: &Bytes,
        out: &mut Vec<Send>,
    ) {
        let mut acked = Vec::new();
        for (key, watch) in self.objects.get_mut(soid).into_iter().flatten() {
            if key.1 == entity && cookie.is_none_or(|c| c == key.0) && watch.pending.remove(&id) {
                acked.push(*key);
            }
        }
        for key in acked {
            let Some(notify) = self.notifies.get_mut(&id) else { return };
            notify.replies.push(((entity.num.cast_unsigned(), key.0), reply.clone()));
            self.no_longer_waiting(id, &key, out);
        }
    }

    fn no_longer_waiting(&mut self, id: u64, key: &WatchKey, out: &mut Vec<Send>) {
        let Some(notify) = self.notifies.get_mut(&id) else { return };
        notify.waiting.remove(key);
        if notify.waiting.is_empty() {
            self.complete(id, false, out);
        }
    }

    /// Tells the notifier who answered what, and who did not.
    fn complete(&mut self, id: u64, timed_out: bool, out: &mut Vec<Send>) {
        let Some(mut notify) = self.notifies.remove(&id) else { return };
        for key in &notify.waiting {
            if let Some(watch) = self.watch(&notify.soid, key) {
                watch.pending.remove(&id);
            }
        }
        notify.replies.sort_by_key(|(who, _)| *who);
        let mut e = Encoder::new(0);
        e.put(&notify.replies);
        e.put(&notify.waiting.iter().map(|(cookie, name)| (name.num.cast_unsigned(), *cookie)).collect::<Vec<_>>());
        let done = MWatchNotify {
            opcode: watch_event::NOTIFY_COMPLETE,
            cookie: notify.cookie,
            ver: notify.version,
            notify_id: id,
            replies: e.finish(),
            return_code: if timed_out { -ETIMEDOUT } else { 0 },
            notifier_gid: notify.client_gid,
            ..MWatchNotify::default()
        };
        out.push((notify.client, Message::new(done)));
    }
}

fn notify_message(cookie: u64, id: u64, notify: &Notify) -> Message {
    Message::new(MWatchNotify {
        opcode: watch_event::NOTIFY,
        cookie,
        ver: notify.version,
        notify_id: id,
        payload: notify.payload.clone(),
        notifier_gid: notify.client_gid,
        ..MWatchNotify::default()
    })
}
