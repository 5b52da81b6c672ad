//! Watching an object, and notifying those who do.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use ::rados::{Event, Reply, Request};
use bytes::Bytes;

use super::object::hexdump;
use super::{Ctx, Failure, Outcome, failed, strerror};
use crate::tools::session::errno_of;

/// Ceph's program gives watchers this long.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the terminal is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Prints each notify until a line (or the end) comes on standard input.
pub(super) fn watch(ctx: &mut Ctx) -> Outcome {
    let oid = ctx.word(0, "an object's name")?;
    let object = Box::new(ctx.object(&oid));
    // No time of ours: the OSD's `osd_client_watch_timeout`.
    let cookie = match ctx.session.call(Request::Watch { object, timeout: Duration::ZERO })? {
        Reply::Watching(cookie) => cookie,
        other => return Err(failed(format!("error adding watch {}/{oid}", ctx.pool_name), errno_of(&other))),
    };
    outln!("press enter to exit...");
    let enter = enter_pressed();
    while matches!(enter.try_recv(), Err(TryRecvError::Empty)) {
        match ctx.session.next_event(LOOK) {
            Some(Event::Notify { cookie, notify_id, notifier, payload }) => {
                outln!("NOTIFY cookie {cookie} notify_id {notify_id} from {notifier}");
                out!("{}", hexdump(&payload));
                // The answer is what was said.
                ctx.session.submit(Request::NotifyAck { cookie, notify_id, reply: payload });
            }
            Some(Event::WatchLost { cookie, errno }) => outln!("ERROR cookie {cookie} err {}", strerror(errno)),
            _ => {}
        }
    }
    // Nobody there any more is as good.
    ctx.session.call(Request::Unwatch(cookie))?;
    Ok(())
}

fn enter_pressed() -> Receiver<()> {
    let (pressed, enter) = channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        let _ = pressed.send(());
    });
    enter
}

pub(super) fn notify(ctx: &mut Ctx) -> Outcome {
    let (oid, text) = (ctx.word(0, "an object's name")?, ctx.word(1, "a message")?);
    let (object, payload) = (Box::new(ctx.object(&oid)), denc::to_bytes(&text, 0));
    let reply = ctx.session.call(Request::Notify { object, payload, timeout: NOTIFY_TIMEOUT })?;
    let (errno, replies) = match reply {
        Reply::Notified(n) => (n.errno, n.replies),
        other => (errno_of(&other), types::NotifyReplies::default()),
    };
    for ((client, cookie), said) in &replies.acks {
        outln!("reply client.{client} cookie {cookie} : {} bytes", said.len());
        if !Bytes::is_empty(said) {
            out!("{}", hexdump(said));
        }
    }
    for (client, cookie) in &replies.timeouts {
        outln!("timeout client.{client} cookie {cookie}");
    }
    match errno {
        0 => Ok(()),
        e => Err(Failure(format!("error calling notify: {}\nerror {e}: {}", strerror(e), strerror(e)), 1)),
    }
}
