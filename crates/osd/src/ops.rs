//! Which operations are under way, which were slow, and who is told (Ceph: `OpTracker`, `OSD::asok_command`,
//! `OSD::get_health_metrics`).
//!
//! Clients' operations live inside their PGs and carry their traces there; what other OSDs asked to be written
//! is kept here until it is on our disk.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use messages::{Body, Message};
use node::{Level, Now, Token};
use pg::track::{Event, OpReport, Trace, Tracker};
use types::dump::Dump;
use types::errno::EPERM;
use types::{EVersion, Epoch, HObject, OsdReqId, PoolId, SpgId};

use crate::Osd;
use crate::counters::SubOpCounts;

/// What is shown of an `MOSDRepOp`.
#[derive(Debug)]
pub struct SubOp {
    reqid: OsdReqId,
    pgid: SpgId,
    epochs: (Epoch, Epoch),
    poid: HObject,
    version: EVersion,
    committed_to: EVersion,
    bytes: u64,
}

impl SubOp {
    pub(crate) fn of(msg: &Message) -> Option<Self> {
        let Body::MOSDRepOp(m) = &msg.body else { return None };
        Some(Self {
            reqid: m.reqid,
            pgid: m.pgid,
            epochs: (m.map_epoch, m.min_epoch),
            poid: m.poid.clone(),
            version: m.version,
            committed_to: m.min_last_complete_ondisk,
            bytes: m.data.len() as u64,
        })
    }

    /// As Ceph prints it.
    fn describe(&self) -> String {
        let Self { reqid, pgid, epochs: (map, min), poid, version, committed_to, .. } = self;
        format!("osd_repop({reqid} {pgid} e{map}/{min} {poid} v {version}, mlcod={committed_to})")
    }
}

/// Writes for other OSDs under way, oldest first.
#[derive(Debug, Default)]
pub struct SubOps(VecDeque<(Token, SubOp, Box<Trace>)>, SubOpCounts);

impl SubOps {
    pub(crate) fn counts(&self) -> &SubOpCounts {
        &self.1
    }

    pub(crate) fn forget_counts(&mut self) {
        self.1 = SubOpCounts::default();
    }

    pub(crate) fn begin(&mut self, now: Now, token: Token, op: SubOp, tracker: &mut Tracker) {
        let mut trace = tracker.begin(now, now);
        trace.mark(now, Event::Started);
        self.0.push_back((token, op, trace));
    }

    pub(crate) fn committed(&mut self, now: Now, upto: Token, tracker: &mut Tracker) {
        while self.0.front().is_some_and(|(token, ..)| *token <= upto) {
            let Some((_, op, mut trace)) = self.0.pop_front() else { return };
            trace.mark(now, Event::CommitSent);
            self.1.add(now.mono.saturating_sub(trace.initiated()), op.bytes);
            tracker.finish(now, trace, || (op.describe(), None));
        }
    }
}

/// What is slow now.
#[derive(Debug, Default)]
pub(crate) struct SlowOps {
    pub count: u32,
    pub oldest: Duration,
    by_state: BTreeMap<&'static str, u32>,
    by_pool: BTreeMap<PoolId, u32>,
}

const NOT_TRACKED: &str = "op_tracker tracking is not enabled now, so no ops are tracked currently, even those get \
    stuck. Please enable \"osd_enable_op_tracker\", and the tracker will start to track new ops received afterwards.";

impl Osd {
    /// Everything under way, by arrival.
    fn ops_in_flight(&self) -> Vec<OpReport> {
        let mut all: Vec<OpReport> = self.pgs.values().flat_map(pg::Pg::ops_in_flight).collect();
        all.extend(self.sub_ops.0.iter().map(|(_, op, trace)| OpReport {
            description: op.describe(),
            client: None,
            trace: Trace::clone(trace),
        }));
        all.extend(self.early_ops());
        all.sort_by_key(|op| op.trace.initiated());
        all
    }

    /// Clients' operations that wait for a map.
    fn early_ops(&self) -> impl Iterator<Item = OpReport> {
        let held = self.waiting.held();
        held.filter_map(|(conn, msg, since)| pg::waiting_op(&self.conns.get(conn)?.peer, msg, *since))
    }

    /// `dump_ops_in_flight` and the others. `filters`: only the operations of clients at these addresses.
    pub(crate) fn dump_ops(&mut self, now: Now, command: &str, filters: &[String]) -> Result<Dump, (i32, String)> {
        if !self.tracker.is_enabled() {
            return Err((EPERM, NOT_TRACKED.to_owned()));
        }
        let dumped = |ops: &[&OpReport]| -> Vec<Dump> {
            ops.iter().filter(|op| matches(op, filters)).map(|op| op.dump(now)).collect()
        };
        let in_flight = |ops: Vec<OpReport>| dumped(&ops.iter().collect::<Vec<_>>());
        Ok(match command {
            "dump_blocked_ops" => {
                let complaint = self.cfg.secs("osd_op_complaint_time");
                let mut all = self.ops_in_flight();
                all.retain(|op| now.mono.saturating_sub(op.trace.initiated()) > complaint);
                let ops = in_flight(all);
                let count = ops.len();
                Dump::obj()
                    .with("ops", Dump::arr("op", ops))
                    .with("complaint_time", complaint.as_secs_f64())
                    .with("num_blocked_ops", count)
            }
            "dump_historic_ops" | "dump_historic_ops_by_duration" => {
                let ops = dumped(&self.tracker.history(now, command.ends_with("duration")));
                Dump::obj()
                    .with("size", self.cfg.u64("osd_op_history_size"))
                    .with("duration", self.cfg.u64("osd_op_history_duration"))
                    .with("ops", Dump::arr("op", ops))
            }
            "dump_historic_slow_ops" => {
                let ops = dumped(&self.tracker.slow_history().iter().collect::<Vec<_>>());
                Dump::obj()
                    .with("num to keep", self.cfg.u64("osd_op_history_slow_op_size"))
                    .with("threshold to keep", self.cfg.secs("osd_op_history_slow_op_threshold").as_secs())
                    .with("Ops", Dump::arr("Op", ops))
            }
            _ => {
                let ops = in_flight(self.ops_in_flight());
                let count = ops.len();
                Dump::obj().with("ops", Dump::arr("op", ops)).with("num_ops", count)
            }
        })
    }

    /// Those that have been under way for longer than `osd_op_complaint_time`.
    pub(crate) fn slow_ops(&self, now: Now) -> SlowOps {
        let mut slow = SlowOps::default();
        if !self.tracker.is_enabled() {
            return slow;
        }
        let Some(before) = now.mono.checked_sub(self.cfg.secs("osd_op_complaint_time")) else { return slow };
        let mut note = |pool: PoolId, since: Duration, state: &'static str| {
            slow.count += 1;
            slow.oldest = slow.oldest.max(now.mono.saturating_sub(since));
            *slow.by_state.entry(state).or_default() += 1;
            *slow.by_pool.entry(pool).or_default() += 1;
        };
        for (id, pg) in &self.pgs {
            pg.slow_ops(before).for_each(|(since, state)| note(id.pgid.pool, since, state));
        }
        for (_, msg, since) in self.waiting.held().filter(|(.., since)| since.mono < before) {
            if let Body::MOSDOp(m) = &msg.body {
                note(m.pgid.pgid.pool, since.mono, "delayed");
            }
        }
        for (_, op, trace) in self.sub_ops.0.iter().take_while(|(.., trace)| trace.initiated() < before) {
            note(op.pgid.pgid.pool, trace.initiated(), trace.flag_point());
        }
        slow
    }

    /// About once a second: the cluster's log hears of slow operations.
    pub(crate) fn complain_of_slow_ops(&mut self, now: Now) {
        let slow = self.slow_ops(now);
        if slow.count == 0 {
            return;
        }
        let states: Vec<String> = slow.by_state.iter().map(|(state, n)| format!("'{state}' : {n}")).collect();
        let pool = slow.by_pool.iter().max_by_key(|(_, n)| **n).map(|(pool, n)| {
            let map = self.maps.as_ref().map(|m| m.current().clone());
            let name = map.and_then(|m| m.pool_names.get(pool).map(ToString::to_string));
            format!(" most affected pool [ '{}' : {n} ]", name.unwrap_or_else(|| pool.to_string()))
        });
        let text =
            format!("{} slow requests (by type [ {} ]{})", slow.count, states.join(" "), pool.unwrap_or_default());
        let text = self.explain_oldest(now).map_or(text.clone(), |oldest| format!("{text}; the oldest: {oldest}"));
        self.log.entry(now, Level::Warn, text);
    }

    /// One sentence: where the time of the oldest operation under way goes.
    pub(crate) fn explain_oldest(&self, now: Now) -> Option<String> {
        self.ops_in_flight().first().map(|op| op.explain(now, self.setup.whoami))
    }

    /// A sentence on each operation that is slow now, or was lately, the oldest first.
    pub(crate) fn explain_slow_ops(&self, now: Now) -> String {
        let complaint = self.cfg.secs("osd_op_complaint_time");
        let mut ops = self.ops_in_flight();
        ops.retain(|op| now.mono.saturating_sub(op.trace.initiated()) > complaint);
        let all = self.tracker.slow_history().iter().chain(&ops);
        let lines: Vec<String> = all.map(|op| op.explain(now, self.setup.whoami) + "\n").collect();
        if lines.is_empty() { "no operation is slow, or was lately\n".to_owned() } else { lines.concat() }
    }
}

/// Whether the client is at one of these addresses, written with or without port and nonce.
fn matches(op: &OpReport, filters: &[String]) -> bool {
    let at = op.client.as_ref().map_or("", |c| &c.addr);
    let (without_nonce, _) = at.split_once('/').unwrap_or((at, ""));
    let (host, _) = without_nonce.rsplit_once(':').unwrap_or((without_nonce, ""));
    let is = |f: &String| *f == at || f.split('/').next() == Some(without_nonce) && f.ends_with("/0") || *f == host;
    filters.is_empty() || filters.iter().any(|f| is(f) || f == without_nonce)
}
