//! How an OSD leaves: asked to (SIGTERM), or because its store keeps nothing any more, or gives nothing back. Either
//! way it asks to be marked down, so that its PGs go on elsewhere at once and nobody waits for its heartbeats to be
//! missed.
//!
//! Invariant: from the moment the store fails nothing is taken from clients or peers. What was under way is never
//! acknowledged: the driver holds back what waits for a commit, and no more commits come.

use messages::{MOSDMarkMeDown, Paxos};
use node::{Level, Now, Output};

use crate::boot::STOP_PATIENCE;
use crate::{Osd, State};

impl Osd {
    /// Asks to be marked down, so that clients need not wait for heartbeats to be missed.
    pub(crate) fn shutdown(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.state != State::Active || self.mon.conn().is_none() {
            return self.exit(out);
        }
        let epoch = self.epoch();
        let m = MOSDMarkMeDown {
            paxos: Paxos { version: epoch.into(), ..Paxos::default() },
            fsid: self.setup.fsid,
            target_osd: self.setup.whoami,
            target_addrs: self.setup.listening.public.into(),
            epoch,
            request_ack: true,
            down_and_dead: true,
        };
        self.mon.send(m, out);
        self.state = State::Stopping { until: now.mono + STOP_PATIENCE };
    }

    /// A write or a sync failed, or what is written cannot be read back. One line says which disk, and what to do;
    /// then we go.
    pub(crate) fn store_failed(&mut self, now: Now, why: &str, out: &mut Vec<Output>) {
        if self.failed {
            return;
        }
        let me = self.setup.whoami;
        let advice = if why.contains("no space") {
            "The disk is full: free space (`rados rm --force-full`), add an OSD, or give this one a larger disk"
                .to_owned()
        } else {
            format!("Check the disk; when it is replaced, start osd.{me} again and it is filled from its peers")
        };
        let text = format!("osd.{me}: the store failed and nothing more is acknowledged: {why}. {advice}");
        self.log(Level::Error, text.clone(), out);
        self.log.entry(now, Level::Error, text);
        self.log.flush(now, &self.setup, &mut self.mon, out);
        self.failed = true;
        self.shutdown(now, out);
    }

    /// The end. Whatever restarts daemons that fail must see that this one did.
    pub(crate) fn exit(&self, out: &mut Vec<Output>) {
        out.push(Output::Exit { code: i32::from(self.failed) });
    }
}
