//! Requests that only the leader can serve, from wherever they came.
//!
//! ```text
//! client ─► peon: kept by number ─Ask─► leader: a job, in a session that stands for the client's
//! client ◄─ peon: once its state is as new as the answer ◄─Answer─┘
//! ```
//!
//! The monitor that a request came to keeps it until the leader says that it is done, and asks again when
//! the leader changes or is silent: at the new leader, or itself if it leads now. So a request outlives its
//! leader. What must not be done twice (commands, pool operations) leaves its answer in the replicated
//! state, under who asked and by which number, in the same proposal as what it changed; who asks again gets
//! that answer (Ceph has no such thing: there, a command repeated must find its work done).
//!
//! An answer is held back until this monitor's state has what the answer rests on: a client that reads its
//! maps here then finds in them what it was told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use denc::{Decoder, Encoder};
use messages::{Body, MOSDFailure, Message};
use node::{ConnId, Now, Output, Peer};
use quorum::{Index, MemberId};
use types::OsdId;
use types::dump::Dump;
use types::options::Config;

use crate::change::{Change, Space};
use crate::core::{Cx, Held, Mon};
use crate::peers::{Answer, Ask, PeerMsg, Who, wire};
use crate::pending::Waiter;

/// A request without an answer is sent again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Answers to commands are remembered for at least so long, in seconds: who asks again does so sooner.
const REMEMBER_SECS: u32 = 600;
/// More are not remembered, whatever their age.
const REMEMBER_MAX: usize = 10_000;
/// So many of the last are, whatever their age: a clock that jumps ahead makes all of them old.
const REMEMBER_LEAST: usize = 500;
/// Connections of this range stand for sessions of other monitors.
const PROXY: u64 = 1 << 62;

/// Who is to have the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Client(ConnId),
    Admin(u64),
    /// This monitor itself.
    Own,
}

#[derive(Debug, Clone)]
struct Request {
    asker: Asker,
    ask: Ask,
    since: Now,
    /// Where it was sent, and when; the leader's own are not sent.
    sent: Option<(MemberId, Duration)>,
}

impl Request {
    fn dump(&self, now: Now) -> Dump {
        let age = now.mono.saturating_sub(self.since.mono);
        self.told(age, age)
    }

    fn told(&self, age: Duration, duration: Duration) -> Dump {
        let (source, what) = match &self.ask {
            Ask::Message { who, msg } => (who.name.to_string(), describe(msg)),
            Ask::Admin { command } => ("admin socket".to_owned(), command.clone()),
            Ask::Hello(_) => ("this monitor".to_owned(), "hello to the leader".to_owned()),
            Ask::Ids => ("this monitor".to_owned(), "ids for clients".to_owned()),
        };
        let info = Dump::obj().with("source", source).with("forwarded_to_leader", self.sent.is_some());
        Dump::obj()
            .with("description", what)
            .with("initiated_at", self.since.wall)
            .with("age", age.as_secs_f64())
            .with("duration", duration.as_secs_f64())
            .with("type_data", Dump::obj().with("info", info))
    }
}

/// As Ceph prints it where people look for it: `mon_command({"prefix": "status"} v 0)`.
fn describe(msg: &Message) -> String {
    match &msg.body {
        Body::MMonCommand(m) => format!("mon_command({} v {})", m.cmd.join(" "), m.paxos.version),
        Body::MCommand(m) => format!("command(tid {}: {})", msg.tid, m.cmd.join(" ")),
        other => other.name().to_owned(),
    }
}

/// Whose job it is: our own request's, or that of another monitor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobId {
    Own(u64),
    Other(MemberId, u64),
}

/// A request in the leader's hands.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: JobId,
    pub ask: Ask,
    /// The session it came by, or one that stands for it.
    pub conn: ConnId,
}

/// An answer to a job, before it is clear where it goes.
#[derive(Debug)]
pub enum Routed {
    Session(ConnId, Message),
    Job(JobId, Answer),
}

/// Requests of this monitor, and jobs of others while it leads.
#[derive(Debug, Default)]
pub struct Forwards {
    requests: BTreeMap<u64, Request>,
    next_rid: u64,
    /// Answers that our state has not reached.
    early: Vec<(Index, u64, Answer)>,
    /// Sessions of others, by the connection that stands for them.
    proxies: BTreeMap<ConnId, JobId>,
    next_proxy: u64,
    /// Requests of clients that were answered, and when; the oldest first.
    history: VecDeque<(Request, Duration)>,
    /// Those of them that took long.
    slow: VecDeque<(Request, Duration)>,
    /// What OSDs of ours have reported and not taken back: a new leader has to hear of it.
    failures: BTreeMap<(ConnId, OsdId), (Box<MOSDFailure>, Duration)>,
    /// The key under which the command that runs now is to be remembered.
    pub remember: Option<String>,
    /// The job that runs now put itself off.
    pub put_off: Option<Message>,
}

impl Forwards {
    /// Numbers begin at a place of each life's own.
    pub fn new(seed: u64) -> Self {
        Self { next_rid: seed, ..Self::default() }
    }

    pub fn is_proxy(conn: ConnId) -> bool {
        conn.0 & PROXY != 0
    }

    fn add(&mut self, since: Now, asker: Asker, ask: Ask) -> u64 {
        self.next_rid = self.next_rid.wrapping_add(1);
        self.requests.insert(self.next_rid, Request { asker, ask, since, sent: None });
        self.next_rid
    }

    /// What has no answer yet, oldest first, in the form of Ceph's `ops`.
    pub fn dump(&self, now: Now) -> Dump {
        let mut waiting: Vec<&Request> = self.requests.values().collect();
        waiting.sort_by_key(|r| r.since.mono);
        let ops = waiting.into_iter().map(|r| r.dump(now));
        Dump::obj().with("ops", Dump::arr("op", ops)).with("num_ops", self.requests.len())
    }

    /// What was answered lately, in the form of Ceph's `dump_historic_ops`; or only what took long.
    pub fn dump_history(&self, now: Now, cfg: &Config, slow: bool) -> Dump {
        let kept = cfg.secs("mon_op_history_duration");
        let recent = |(_, at): &&(Request, Duration)| now.mono.saturating_sub(*at) <= kept;
        let told = |(r, at): &(Request, Duration)| {
            r.told(now.mono.saturating_sub(r.since.mono), at.saturating_sub(r.since.mono))
        };
        let (all, d, ops) = if slow {
            let d = Dump::obj().with("num to keep", cfg.u64("mon_op_history_slow_op_size"));
            (&self.slow, d.with("threshold to keep", cfg.secs("mon_op_history_slow_op_threshold").as_secs()), "Ops")
        } else {
            let d = Dump::obj().with("size", cfg.u64("mon_op_history_size"));
            (&self.history, d.with("duration", kept.as_secs()), "ops")
        };
        d.with(ops, Dump::arr("op", all.iter().filter(recent).map(told)))
    }

    fn finish(&mut self, now: Duration, cfg: &Config, rid: u64) {
        let Some(request) = self.requests.remove(&rid) else { return };
        if request.asker == Asker::Own {
            return;
        }
        let slow = now.saturating_sub(request.since.mono) >= cfg.secs("mon_op_history_slow_op_threshold");
        let most = |name: &str| cfg.u64(name) as usize;
        if slow {
            self.slow.push_back((request.clone(), now));
            while self.slow.len() > most("mon_op_history_slow_op_size") {
                self.slow.pop_front();
            }
        }
        self.history.push_back((request, now));
        while self.history.len() > most("mon_op_history_size") {
            self.history.pop_front();
        }
    }

    /// A client is gone, and with it what it asked.
    pub fn forget(&mut self, conn: ConnId) {
        self.requests.retain(|_, r| r.asker != Asker::Client(conn));
        self.failures.retain(|(c, _), _| *c != conn);
    }

    pub fn is_waiting_for(&self, ask: &Ask) -> bool {
        self.requests.values().any(|r| r.asker == Asker::Own && r.ask == *ask)
    }
}

/// Of what was done, with when, what need not be remembered any longer; not all of it at once.
fn forgettable<K: Ord>(now: u32, mut done: Vec<(u32, K)>) -> Vec<K> {
    done.sort_unstable();
    let too_many = done.len() > REMEMBER_MAX;
    done.truncate(done.len().saturating_sub(REMEMBER_LEAST));
    let old = |at: u32| now.saturating_sub(at) > REMEMBER_SECS;
    done.into_iter().filter(|(at, _)| too_many || old(*at)).take(REMEMBER_MAX / 10).map(|(_, key)| key).collect()
}

impl Mon {
    // --- where a request comes in

    /// A client's message that the leader has to see.
    pub(crate) fn request(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) {
        let Some(session) = self.sessions.get(conn) else { return };
        if let Body::MOSDFailure(m) = &msg.body {
            self.forwards.failures.insert((conn, m.target_osd), (Box::new(m.clone()), cx.now.mono));
            if m.flags & MOSDFailure::FAILED == 0 {
                self.forwards.failures.remove(&(conn, m.target_osd));
            }
        }
        let p = &session.peer;
        let who = Who {
            name: p.name,
            entity: p.entity.clone(),
            addrs: p.addrs.clone(),
            features: p.features,
            global_id: p.global_id,
            host: session.host.clone(),
        };
        let rid = self.forwards.add(cx.now, Asker::Client(conn), Ask::Message { who, msg });
        self.route(cx, rid);
    }

    pub(crate) fn request_admin(&mut self, cx: &mut Cx, id: u64, command: String) {
        let rid = self.forwards.add(cx.now, Asker::Admin(id), Ask::Admin { command });
        self.route(cx, rid);
    }

    pub(crate) fn request_own(&mut self, cx: &mut Cx, ask: Ask) {
        let rid = self.forwards.add(cx.now, Asker::Own, ask);
        self.route(cx, rid);
    }

    fn route(&mut self, cx: &mut Cx, rid: u64) {
        let Some(request) = self.forwards.requests.get_mut(&rid) else { return };
        if self.log.is_leading() {
            request.sent = None;
            let conn = if let Asker::Client(conn) = request.asker { conn } else { ConnId(PROXY) };
            let job = Job { id: JobId::Own(rid), ask: request.ask.clone(), conn };
            return self.run_job(cx, job);
        }
        let Some(leader) = self.log.leader().filter(|l| *l != self.log.me()) else { return };
        request.sent = Some((leader, cx.now.mono));
        let ask = request.ask.clone();
        self.send_peer(cx, leader, PeerMsg::Ask { rid, ask }, None);
    }

    /// The leader is another than before, or this monitor leads now: everything is asked again.
    pub(crate) fn route_all(&mut self, cx: &mut Cx) {
        self.forwards.early.clear();
        for rid in self.forwards.requests.keys().copied().collect::<Vec<_>>() {
            self.route(cx, rid);
        }
        self.report_failures_again(cx);
    }

    /// Nobody but the leader remembers which OSDs were reported.
    fn report_failures_again(&mut self, cx: &mut Cx) {
        let map = self.state.osdmap.clone();
        self.forwards.failures.retain(|(_, osd), (m, _)| map.is_up(*osd) && map.addrs(*osd) == m.target_addrs);
        for ((conn, osd), (m, at)) in self.forwards.failures.clone() {
            let later = cx.now.mono.saturating_sub(at).as_secs();
            let failed_for = m.failed_for.saturating_add(i32::try_from(later).unwrap_or(i32::MAX));
            let m = MOSDFailure { failed_for, ..*m };
            self.request(cx, conn, m.clone().into());
            // As it was told first.
            self.forwards.failures.insert((conn, osd), (Box::new(m), cx.now.mono));
        }
    }

    /// Asks again what the leader has not answered for a while: it, or its answer, may have been lost.
    pub(crate) fn ask_again(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let late = |r: &Request| r.sent.is_none_or(|(_, at)| now.saturating_sub(at) >= ASK_AGAIN);
        if self.log.is_leading() {
            return;
        }
        let late: Vec<u64> = self.forwards.requests.iter().filter(|(_, r)| late(r)).map(|(rid, _)| *rid).collect();
        late.into_iter().for_each(|rid| self.route(cx, rid));
    }

    // --- at the leader

    /// Another monitor asks.
    pub(crate) fn asked(&mut self, cx: &mut Cx, from: MemberId, rid: u64, ask: Ask) {
        let id = JobId::Other(from, rid);
        // Also one that has just been elected: the job waits until it knows all that was decided before.
        if self.log.role() != quorum::Role::Leader || self.forwards.proxies.values().any(|job| *job == id) {
            return;
        }
        self.forwards.next_proxy += 1;
        let conn = ConnId(PROXY | self.forwards.next_proxy);
        self.forwards.proxies.insert(conn, id);
        if let Ask::Message { who, .. } = &ask {
            let Who { name, entity, addrs, features, global_id, host } = who.clone();
            self.sessions.open(conn, Peer { name, addrs, features, global_id, entity });
            if let Some(session) = self.sessions.get_mut(conn) {
                session.host = host;
            }
        }
        self.run_job(cx, Job { id, ask, conn });
    }

    /// Does a job, or holds it until it can be done.
    pub(crate) fn run_job(&mut self, cx: &mut Cx, job: Job) {
        let writes = match &job.ask {
            Ask::Message { msg, .. } => self.changes_state(msg),
            Ask::Admin { command } => self.command_writes(std::slice::from_ref(command)),
            Ask::Hello(_) | Ask::Ids => true,
        };
        if !self.is_readable() || writes && !self.is_writeable() {
            return self.held.push_back(Held::Job(Box::new(job)));
        }
        match job.ask.clone() {
            Ask::Message { .. } if self.sessions.get(job.conn).is_none() => {
                // Nobody is there to be answered. Who stands for a client asks again.
                self.forwards.proxies.remove(&job.conn);
                return;
            }
            Ask::Message { who, msg } => {
                if !self.answer_from_memory(cx, &job, &who, &msg) {
                    self.dispatch(cx, job.conn, msg);
                    self.forwards.remember = None;
                }
            }
            Ask::Admin { command } => {
                let (_, run) = self.admin_command(&command);
                let body = run(self, cx);
                self.reply(cx, true, Waiter::Job(job.id, Answer::Admin(body)));
            }
            Ask::Hello(hello) => self.on_hello(&hello),
            Ask::Ids => {
                let (from, to) = self.grant_ids();
                self.reply(cx, true, Waiter::Job(job.id, Answer::Ids(from, to)));
            }
        }
        if let Some(msg) = self.forwards.put_off.take() {
            if let Ask::Message { who, .. } = job.ask {
                self.held.push_back(Held::Job(Box::new(Job { ask: Ask::Message { who, msg }, ..job })));
            }
            return;
        }
        self.reply(cx, true, Waiter::Job(job.id, Answer::Done));
    }

    /// A command that was done before is answered as it was then. Else it is noted as the one to remember.
    fn answer_from_memory(&mut self, cx: &mut Cx, job: &Job, who: &Who, msg: &Message) -> bool {
        let kind = match &msg.body {
            Body::MMonCommand(_) | Body::MCommand(_) if self.changes_state(msg) => "command",
            Body::MPoolOp(_) => "pool_op",
            _ => return false,
        };
        // Who does not number its messages does not send them again.
        if who.global_id == 0 || msg.tid == 0 || crate::planted::forgets_answers() {
            return false;
        }
        let key = format!("{}.{:x}.{kind}.{:x}", who.name.kind_str(), who.global_id, msg.tid);
        let known = match self.pending.get(Space::Done, &key) {
            Some(pending) => pending.cloned(),
            None => self.state.get(Space::Done, &key).cloned(),
        };
        if let Some(reply) = known.and_then(|bytes| remembered(bytes).ok()) {
            self.reply(cx, true, Waiter::Message { conn: job.conn, msg: reply.1 });
            return true;
        }
        self.forwards.remember = Some(key);
        false
    }

    /// A command has changed something: its answer goes into the state with it.
    pub(crate) fn remember(&mut self, cx: &Cx, reply: &Message) {
        let Some(key) = self.forwards.remember.take() else { return };
        if self.pending.is_empty() {
            return;
        }
        let mut e = Encoder::new(0);
        e.u32(cx.now.wall.sec);
        e.raw(&wire::message_bytes(reply));
        self.pending.put(Space::Done, key, e.finish());
    }

    /// What need not be remembered any longer.
    pub(crate) fn forget_old_answers(&self, now: node::Now, changes: &mut Vec<Change>) {
        if !changes.iter().any(|c| matches!(c, Change::Put { space: Space::Done, .. })) {
            return;
        }
        let all = self.state.space(Space::Done);
        let all = all.map(|(key, v)| (Decoder::new(v.clone()).u32().unwrap_or(0), key)).collect();
        let gone = forgettable(now.wall.sec, all).into_iter();
        changes.extend(gone.map(|key| Change::Rm { space: Space::Done, key: key.clone() }));
    }

    /// Sends what was answered in this turn to where it belongs.
    pub(crate) fn flush_routed(&mut self, cx: &mut Cx) {
        for routed in std::mem::take(&mut cx.routed) {
            let (id, answer) = match routed {
                Routed::Session(conn, msg) => {
                    let Some(id) = self.forwards.proxies.get(&conn) else { continue };
                    (*id, Answer::Message(msg))
                }
                Routed::Job(id, answer) => (id, answer),
            };
            match id {
                JobId::Own(rid) => self.deliver(cx, rid, answer),
                JobId::Other(to, rid) => {
                    if answer == Answer::Done {
                        self.close_proxy(id);
                    }
                    let applied = self.state.applied;
                    self.send_peer(cx, to, PeerMsg::Answer { rid, applied, answer }, None);
                }
            }
        }
    }

    fn close_proxy(&mut self, id: JobId) {
        let conn = self.forwards.proxies.iter().find(|(_, job)| **job == id).map(|(conn, _)| *conn);
        if let Some(conn) = conn {
            self.forwards.proxies.remove(&conn);
            self.sessions.close(conn);
        }
    }

    /// This monitor does not lead any more: others' jobs are the next leader's.
    pub(crate) fn drop_jobs(&mut self) {
        for conn in std::mem::take(&mut self.forwards.proxies).into_keys() {
            self.sessions.close(conn);
        }
        self.held.retain(|h| !matches!(h, Held::Job(_)));
    }

    // --- back at the one who was asked

    pub(crate) fn answered(&mut self, cx: &mut Cx, rid: u64, applied: Index, answer: Answer) {
        if applied > self.state.applied || self.forwards.early.iter().any(|(_, r, _)| *r == rid) {
            return self.forwards.early.push((applied, rid, answer));
        }
        self.deliver(cx, rid, answer);
    }

    /// The state has moved on: answers that waited for it.
    pub(crate) fn deliver_early(&mut self, cx: &mut Cx) {
        if self.forwards.early.is_empty() {
            return;
        }
        let applied = self.state.applied;
        let (ready, early) = std::mem::take(&mut self.forwards.early).into_iter().partition(|(at, ..)| *at <= applied);
        self.forwards.early = early;
        for (_, rid, answer) in ready {
            self.deliver(cx, rid, answer);
        }
    }

    fn deliver(&mut self, cx: &mut Cx, rid: u64, answer: Answer) {
        let Some(request) = self.forwards.requests.get(&rid) else { return };
        let asker = request.asker;
        match (answer, asker) {
            (Answer::Message(msg), Asker::Client(conn)) => cx.send(conn, msg),
            (Answer::Admin(body), Asker::Admin(id)) => cx.out.push(Output::AdminReply { id, body }),
            (Answer::Ids(from, to), Asker::Own) => self.ids.add(from, to),
            (Answer::Done, _) => self.forwards.finish(cx.now.mono, &self.config, rid),
            _ => {}
        }
    }
}

fn remembered(bytes: Bytes) -> Result<(u32, Message), denc::DecodeError> {
    let mut d = Decoder::new(bytes);
    let at = d.u32()?;
    Ok((at, wire::message_from(d.rest())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_makes_nobody_forget_what_was_just_done() {
        let done = |n: usize| (0..n as u32).map(|i| (1000 + i, i)).collect::<Vec<_>>();
        let later = 1_000_000;
        assert!(forgettable(later, done(REMEMBER_LEAST)).is_empty());
        assert_eq!(forgettable(later, done(REMEMBER_LEAST + 2)), [0, 1]);
        assert!(forgettable(1000, done(REMEMBER_MAX)).is_empty());
        assert_eq!(forgettable(1000, done(REMEMBER_MAX + 1)).len(), REMEMBER_MAX / 10);
    }
}
