//! Watches and notifies. From the lab's suite `rados_watch`.

use messages::{Body, MWatchNotify, watch_event};
use types::errno::{ENOENT, ENOTCONN, ETIMEDOUT};
use types::osd_op::watch_op;

use super::*;

fn watch(cookie: u64, what: u8) -> OsdOp {
    OsdOp::new(op::WATCH, OpArgs::Watch { cookie, ver: 0, op: what, generation: 0, timeout: 0 }, "")
}

fn notify(cookie: u64, timeout: u32, payload: &'static str) -> OsdOp {
    OsdOp::new(op::NOTIFY, OpArgs::Notify { cookie }, denc::to_bytes(&(1_u32, (timeout, Bytes::from(payload))), 0))
}

fn ack(id: u64, cookie: u64, reply: &'static str) -> OsdOp {
    OsdOp::new(op::NOTIFY_ACK, OpArgs::Notify { cookie }, denc::to_bytes(&(id, (cookie, Bytes::from(reply))), 0))
}

type Answers = (Vec<((u64, u64), Bytes)>, Vec<(u64, u64)>);

impl Rig {
    fn took(&mut self) -> Vec<(u64, MWatchNotify)> {
        let taken = std::mem::take(&mut self.sent).into_iter();
        taken
            .map(|(conn, msg)| match msg.body {
                Body::MWatchNotify(m) => (conn.0, m),
                other => panic!("sent {other:?}"),
            })
            .collect()
    }

    fn by<T>(&mut self, client: i64, f: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.client, client);
        let out = f(self);
        self.client = before;
        out
    }

    fn notified(&mut self, cookie: u64) -> u64 {
        let (result, id) = self.one("o", notify(cookie, 5, "ping"));
        assert_eq!(result, 0);
        u64::from_le_bytes(id[..].try_into().expect("8 bytes"))
    }
}

fn answers(m: &MWatchNotify) -> Answers {
    denc::from_bytes(m.replies.clone()).expect("answers")
}

#[test]
fn a_notify_reaches_every_watcher_and_returns_with_all_answers() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![watch(1, watch_op::WATCH)]), -ENOENT);
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    for client in [1, 2] {
        assert_eq!(r.by(client, |r| r.run("o", vec![watch(10, watch_op::WATCH)])), 0);
    }
    let id = r.notified(99);
    let sent = r.took();
    assert_eq!(sent.iter().map(|(conn, m)| (*conn, m.opcode, m.cookie)).collect::<Vec<_>>(), [(1, 1, 10), (2, 1, 10)]);
    assert_eq!((sent[0].1.notify_id, &sent[0].1.payload[..], sent[0].1.notifier_gid), (id, &b"ping"[..], 4100));
    assert_eq!(r.by(1, |r| r.run("o", vec![ack(id, 10, "one")])), 0);
    assert!(r.took().is_empty());
    assert_eq!(r.by(2, |r| r.run("o", vec![ack(id, 10, "two")])), 0);
    let done = r.took();
    assert_eq!(
        (done.len(), done[0].0, done[0].1.opcode, done[0].1.cookie),
        (1, 4100, watch_event::NOTIFY_COMPLETE, 99)
    );
    assert_eq!(done[0].1.return_code, 0);
    assert_eq!(answers(&done[0].1), (vec![((1, 10), "one".into()), ((2, 10), "two".into())], vec![]));
}

#[test]
fn a_notify_that_nobody_hears_is_done_at_once() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    r.notified(7);
    let done = r.took();
    assert_eq!((done.len(), done[0].1.opcode), (1, watch_event::NOTIFY_COMPLETE));
}

#[test]
fn a_silent_watcher_makes_the_notify_time_out() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    assert_eq!(r.by(1, |r| r.run("o", vec![watch(10, watch_op::WATCH)])), 0);
    r.notified(7);
    r.took();
    assert_eq!(r.watches.next_deadline(), Some(r.now.mono + Duration::from_secs(5)));
    r.now.mono += Duration::from_secs(5);
    assert_eq!(r.expired(), []);
    let done = r.took();
    assert_eq!((done[0].1.return_code, answers(&done[0].1)), (-ETIMEDOUT, (vec![], vec![(1, 10)])));
}

#[test]
fn a_watch_without_pings_is_given_up() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    assert_eq!(r.run("o", vec![watch(10, watch_op::WATCH)]), 0);
    r.now.mono += Duration::from_secs(20);
    assert_eq!(r.run("o", vec![watch(10, watch_op::PING)]), 0);
    r.now.mono += Duration::from_secs(20);
    assert_eq!(r.expired(), []);
    r.now.mono += Duration::from_secs(11);
    let expired = r.expired();
    assert_eq!(expired.len(), 1);
    let peer = r.peer();
    let set = crate::ops::remove_watch(&mut r.env(&peer, &[]), &expired[0]).expect("there is such a watch");
    assert!(r.submit(*set).is_none());
    assert_eq!(r.took()[0].1.opcode, watch_event::DISCONNECT);
    assert_eq!(r.run("o", vec![watch(10, watch_op::PING)]), -ENOTCONN);
    assert_eq!(r.run("o", vec![watch(10, watch_op::RECONNECT)]), -ENOTCONN);
    let peer = r.peer();
    assert!(crate::ops::remove_watch(&mut r.env(&peer, &[]), &expired[0]).is_none());
}

#[test]
fn after_a_new_interval_watchers_have_to_reconnect() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    assert_eq!(r.run("o", vec![watch(10, watch_op::WATCH)]), 0);
    r.watches.clear();
    r.forget();
    assert_eq!(r.run("o", vec![watch(10, watch_op::PING)]), -ETIMEDOUT);
    let id = r.by(1, |r| r.notified(7));
    assert!(r.took().is_empty(), "it waits for the watcher to come back");
    assert_eq!(r.run("o", vec![watch(10, watch_op::RECONNECT)]), 0);
    assert_eq!(r.took()[0].1.notify_id, id);
    assert_eq!(r.run("o", vec![watch(10, watch_op::PING)]), 0);
}

#[test]
fn unwatching_and_deleting_end_watches() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    for cookie in [1, 2] {
        assert_eq!(r.run("o", vec![watch(cookie, watch_op::WATCH)]), 0);
    }
    let watchers = |r: &mut Rig| {
        let (_, out) = r.one("o", plain(op::LIST_WATCHERS));
        u32::from_le_bytes(out[6..10].try_into().expect("4 bytes"))
    };
    assert_eq!(watchers(&mut r), 2);
    let version = r.reply("o", vec![watch(1, watch_op::UNWATCH)]).expect("an answer").user_version;
    assert_eq!((watchers(&mut r), version), (1, 1));
    assert!(r.took().is_empty());
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), 0);
    let sent = r.took();
    assert_eq!((sent.len(), sent[0].1.opcode, sent[0].1.cookie), (1, watch_event::DISCONNECT, 2));
    assert_eq!(r.watches.next_deadline(), None);
}
