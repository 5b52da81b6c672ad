//! Who is pinged, who has stopped to answer, and what the monitors are told of it.
//!
//! Each peer is pinged over the cluster and the public network. A ping that is not answered on both
//! within `osd_heartbeat_grace` makes the peer failed from our point of view: it is reported once
//! (`MOSDFailure`), and the report is taken back when it answers again. Whether it *is* down the
//! monitors decide.
//!
//! Pings also carry the clocks' bounds that read leases need (Ceph: `HeartbeatStamps`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use messages::{MOSDFailure, MOSDPing, PingOp, SignedSpan};
use node::Now;
use pg::ClockDelta;
use types::options::Config;
use types::{EntityAddrVec, Epoch, OsdId, Uuid};

/// One OSD that we ping.
#[derive(Debug, Clone)]
struct HbPeer {
    addrs: HbAddrs,
    /// Pings not yet answered on both networks, oldest first: when sent, and by which networks still
    /// awaited.
    open: VecDeque<OpenPing>,
    first_tx: Option<Duration>,
    last_rx_front: Option<Duration>,
    last_rx_back: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct OpenPing {
    sent: Duration,
    front: bool,
    back: bool,
}

/// Where an OSD's heartbeats are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HbAddrs {
    pub front: EntityAddrVec,
    pub back: EntityAddrVec,
    pub cluster: EntityAddrVec,
    /// Names the instance towards the monitors.
    pub public: EntityAddrVec,
}

/// A ping to send.
#[derive(Debug, Clone, PartialEq)]
pub struct PingTo {
    pub osd: OsdId,
    pub addrs: HbAddrs,
    pub ping: MOSDPing,
}

/// Which network a reply came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HbNet {
    Front,
    Back,
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Heartbeats {
    peers: BTreeMap<OsdId, HbPeer>,
    /// Peers that were reported, and the addresses in the report.
    reported: BTreeMap<OsdId, EntityAddrVec>,
    clocks: BTreeMap<OsdId, ClockDelta>,
    clock_epochs: BTreeMap<OsdId, Epoch>,
    next_round: Duration,
    interval: Duration,
    grace: Duration,
    min_size: u32,
}

/// What pings say about us.
#[derive(Debug, Clone, Copy)]
pub struct Us {
    pub fsid: Uuid,
    pub epoch: Epoch,
    pub up_from: Epoch,
}

impl Heartbeats {
    pub fn new(cfg: &Config) -> Self {
        let mut hb = Self {
            peers: BTreeMap::new(),
            reported: BTreeMap::new(),
            clocks: BTreeMap::new(),
            clock_epochs: BTreeMap::new(),
            next_round: Duration::ZERO,
            interval: Duration::ZERO,
            grace: Duration::ZERO,
            min_size: 0,
        };
        hb.configure(cfg);
        hb
    }

    pub fn configure(&mut self, cfg: &Config) {
        self.interval = cfg.secs("osd_heartbeat_interval").max(Duration::from_millis(100));
        self.grace = cfg.secs("osd_heartbeat_grace");
        self.min_size = cfg.u64("osd_heartbeat_min_size").min(64 << 10) as u32;
    }

    pub fn clocks(&self) -> &BTreeMap<OsdId, ClockDelta> {
        &self.clocks
    }

    pub fn peers(&self) -> BTreeSet<OsdId> {
        self.peers.keys().copied().collect()
    }

    pub fn next_wakeup(&self) -> Duration {
        self.next_round
    }

    /// Pings exactly these from now on. Reports about others are void: the map took them out, or they
    /// are none of our business any more.
    pub fn set_peers(&mut self, wanted: BTreeMap<OsdId, HbAddrs>) {
        self.peers.retain(|osd, peer| wanted.get(osd).is_some_and(|addrs| *addrs == peer.addrs));
        let peers = &self.peers;
        self.reported.retain(|osd, _| peers.contains_key(osd));
        for (osd, addrs) in wanted {
            self.peers.entry(osd).or_insert_with(|| HbPeer {
                addrs,
                open: VecDeque::new(),
                first_tx: None,
                last_rx_front: None,
                last_rx_back: None,
            });
        }
    }

    /// We were not up: what peers did not answer to an instance that they did not know says nothing.
    pub fn forget(&mut self) {
        self.peers.clear();
        self.reported.clear();
    }

    /// Whether we may trust our own view: enough peers answer us (Ceph: `is_healthy`).
    pub fn healthy_ratio(&self, now: Now) -> Option<f64> {
        if self.peers.is_empty() {
            return None;
        }
        let healthy = self.peers.values().filter(|p| !p.overdue(now.mono, self.grace)).count();
        Some(healthy as f64 / self.peers.len() as f64)
    }

    /// If a round is due: the pings to send.
    pub fn round(&mut self, now: Now, us: Us) -> Vec<PingTo> {
        if now.mono < self.next_round {
            return Vec::new();
        }
        self.next_round = now.mono + self.interval;
        let (clocks, min_size) = (&self.clocks, self.min_size);
        self.peers
            .iter_mut()
            .map(|(osd, peer)| {
                peer.first_tx.get_or_insert(now.mono);
                peer.open.push_back(OpenPing { sent: now.mono, front: true, back: true });
                // How far our clock is at most ahead of theirs.
                let delta_ub = clocks.get(osd).and_then(|c| c.lb).map(|lb| SignedSpan::from_nanos(-lb));
                let ping = us.ping(PingOp::Ping, now, min_size, delta_ub);
                PingTo { osd: *osd, addrs: peer.addrs.clone(), ping }
            })
            .collect()
    }

    /// A ping of a peer: notes its clock and gives the reply.
    pub fn ping(&mut self, now: Now, us: Us, from: OsdId, m: &MOSDPing) -> MOSDPing {
        let lower = m.mono_send_stamp.nanos() - mono_ns(now);
        if self.clock_is_current(from, m.up_from) {
            self.clocks.insert(from, ClockDelta { lb: Some(lower), ub: m.delta_ub.map(|d| d.nanos()) });
        }
        let mut reply = us.ping(PingOp::PingReply, now, self.min_size, Some(SignedSpan::from_nanos(-lower)));
        reply.ping_stamp = m.ping_stamp;
        reply.mono_ping_stamp = m.mono_ping_stamp;
        reply
    }

    /// Tells a peer that the map has it down.
    pub fn you_died(&self, now: Now, us: Us, m: &MOSDPing) -> MOSDPing {
        let mut reply = us.ping(PingOp::YouDied, now, self.min_size, None);
        reply.ping_stamp = m.ping_stamp;
        reply.mono_ping_stamp = m.mono_ping_stamp;
        reply
    }

    /// A reply. Gives the report to take back, if the peer had been reported and is well again.
    pub fn reply(&mut self, now: Now, us: Us, from: OsdId, net: HbNet, m: &MOSDPing) -> Option<MOSDFailure> {
        if self.clock_is_current(from, m.up_from) {
            let lb = Some(m.mono_send_stamp.nanos() - mono_ns(now));
            self.clocks.insert(from, ClockDelta { lb, ub: m.delta_ub.map(|d| d.nanos()) });
        }
        let peer = self.peers.get_mut(&from)?;
        peer.answered(now.mono, net, m.mono_ping_stamp.nanos());
        if peer.overdue(now.mono, self.grace) {
            return None;
        }
        let addrs = self.reported.remove(&from)?;
        Some(us.failure(from, addrs, 0, 0))
    }

    /// By the newest map the OSDs are up since these epochs: what is known of the clocks of earlier instances is
    /// void before anything that a later one says is heard. (Unlike Ceph: a lease of one that has just restarted
    /// would be measured by the clock of its last life.)
    pub fn forget_old_clocks(&mut self, up_from: impl Fn(OsdId) -> Epoch) {
        for (osd, known) in &mut self.clock_epochs {
            if up_from(*osd) > *known {
                *known = up_from(*osd);
                self.clocks.remove(osd);
            }
        }
    }

    /// Clocks of an earlier instance of a peer say nothing about this one.
    fn clock_is_current(&mut self, from: OsdId, up_from: Epoch) -> bool {
        let known = self.clock_epochs.entry(from).or_insert(up_from);
        if up_from > *known {
            *known = up_from;
            self.clocks.remove(&from);
        }
        up_from >= *known
    }

    /// Nobody listens at a peer's address: reported at once, if it is one of ours.
    pub fn refused(&mut self, us: Us, osd: OsdId, addrs: &EntityAddrVec) -> Option<MOSDFailure> {
        let osd = &osd;
        let peer = self.peers.get(osd)?;
        // An address of an earlier instance says nothing about this one.
        let current = [&peer.addrs.front, &peer.addrs.back, &peer.addrs.cluster].contains(&addrs);
        if !current || self.reported.contains_key(osd) {
            return None;
        }
        let report = us.failure(*osd, peer.addrs.public.clone(), MOSDFailure::FAILED | MOSDFailure::IMMEDIATE, 0);
        self.reported.insert(*osd, peer.addrs.public.clone());
        Some(report)
    }

    /// The peers that have been silent for too long and were not yet reported.
    pub fn failures(&mut self, now: Now, us: Us) -> Vec<MOSDFailure> {
        let mut reports = Vec::new();
        for (osd, peer) in &self.peers {
            if !peer.overdue(now.mono, self.grace) || self.reported.contains_key(osd) {
                continue;
            }
            let silent = now.mono.saturating_sub(peer.silent_since());
            reports.push(us.failure(*osd, peer.addrs.public.clone(), MOSDFailure::FAILED, silent.as_secs() as i32));
            self.reported.insert(*osd, peer.addrs.public.clone());
        }
        reports
    }

    /// The session with the monitors is new: what was reported in the old one may be lost.
    pub fn report_again(&mut self) {
        self.reported.clear();
    }
}

impl HbPeer {
    fn overdue(&self, mono: Duration, grace: Duration) -> bool {
        self.open.front().is_some_and(|oldest| mono > oldest.sent + grace)
    }

    /// Since when one of the networks is silent.
    fn silent_since(&self) -> Duration {
        let first = self.first_tx.unwrap_or_default();
        self.last_rx_front.unwrap_or(first).min(self.last_rx_back.unwrap_or(first))
    }

    /// A reply answers its ping and every older one on that network.
    fn answered(&mut self, mono: Duration, net: HbNet, sent_ns: i64) {
        match net {
            HbNet::Front => self.last_rx_front = Some(mono),
            HbNet::Back => self.last_rx_back = Some(mono),
        }
        for ping in self.open.iter_mut().take_while(|p| p.sent.as_nanos() as i64 <= sent_ns) {
            match net {
                HbNet::Front => ping.front = false,
                HbNet::Back => ping.back = false,
            }
        }
        while self.open.front().is_some_and(|p| !p.front && !p.back) {
            self.open.pop_front();
        }
    }
}

impl Us {
    fn ping(self, op: PingOp, now: Now, min_message_size: u32, delta_ub: Option<SignedSpan>) -> MOSDPing {
        let mono = SignedSpan::from_nanos(mono_ns(now));
        MOSDPing {
            fsid: self.fsid,
            map_epoch: self.epoch,
            op,
            ping_stamp: now.wall,
            up_from: self.up_from,
            mono_ping_stamp: mono,
            mono_send_stamp: mono,
            delta_ub,
            min_message_size,
        }
    }

    fn failure(self, osd: OsdId, addrs: EntityAddrVec, flags: u8, failed_for: i32) -> MOSDFailure {
        MOSDFailure {
            paxos: messages::Paxos { version: self.epoch.into(), ..messages::Paxos::default() },
            fsid: self.fsid,
            target_osd: osd,
            target_addrs: addrs,
            epoch: self.epoch,
            flags,
            failed_for,
        }
    }
}

fn mono_ns(now: Now) -> i64 {
    now.mono.as_nanos() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{AddrType, EntityAddr, UTime};

    const US: Us = Us { fsid: Uuid([7; 16]), epoch: 9, up_from: 5 };

    fn at(secs: f64) -> Now {
        Now { mono: Duration::from_secs_f64(secs), wall: UTime { sec: 1_795_000_000, nsec: 0 } }
    }

    fn addr(port: u16) -> EntityAddrVec {
        EntityAddr::parse(&format!("v2:127.0.0.1:{port}/1"), AddrType::Msgr2).unwrap().into()
    }

    fn with_one_peer() -> Heartbeats {
        let mut cfg = Config::daemon();
        cfg.set("osd_heartbeat_grace", "6", types::options::Source::Cmdline).unwrap();
        cfg.set("osd_heartbeat_interval", "1", types::options::Source::Cmdline).unwrap();
        let mut hb = Heartbeats::new(&cfg);
        hb.set_peers([(2, HbAddrs { front: addr(1), back: addr(2), cluster: addr(4), public: addr(3) })].into());
        hb
    }

    fn answer(hb: &mut Heartbeats, secs: f64, ping: &MOSDPing, net: HbNet) -> Option<MOSDFailure> {
        let m = MOSDPing { op: PingOp::PingReply, ..ping.clone() };
        hb.reply(at(secs), US, 2, net, &m)
    }

    #[test]
    fn a_peer_that_answers_on_one_network_only_is_reported_after_the_grace() {
        let mut hb = with_one_peer();
        let ping = hb.round(at(1.0), US).remove(0).ping;
        answer(&mut hb, 1.1, &ping, HbNet::Back);
        assert!(hb.failures(at(6.9), US).is_empty());
        let report = hb.failures(at(7.5), US).remove(0);
        assert_eq!((report.target_osd, report.flags, &report.target_addrs), (2, MOSDFailure::FAILED, &addr(3)));
        assert!(hb.failures(at(8.0), US).is_empty(), "one report is enough");
    }

    #[test]
    fn a_report_is_taken_back_when_the_peer_answers_again() {
        let mut hb = with_one_peer();
        let old = hb.round(at(1.0), US).remove(0).ping;
        assert_eq!(hb.failures(at(8.0), US).len(), 1);
        assert_eq!(answer(&mut hb, 8.1, &old, HbNet::Front), None);
        let alive = answer(&mut hb, 8.2, &old, HbNet::Back).expect("the report is void");
        assert_eq!(alive.flags & MOSDFailure::FAILED, 0);
    }

    #[test]
    fn a_refused_connection_is_reported_at_once_and_once() {
        let mut hb = with_one_peer();
        let report = hb.refused(US, 2, &addr(1)).unwrap();
        assert_eq!(report.flags, MOSDFailure::FAILED | MOSDFailure::IMMEDIATE);
        assert_eq!(hb.refused(US, 2, &addr(2)), None);
    }

    #[test]
    fn pings_bound_how_far_the_peers_clock_is_ahead() {
        let mut hb = with_one_peer();
        // The peer's clock reads 100 s when ours reads 10 s; it took up to 1 s to get here.
        let mut m = hb.round(at(10.0), US).remove(0).ping;
        m.mono_send_stamp = SignedSpan::from_nanos(100_000_000_000);
        m.up_from = 3;
        let reply = hb.ping(at(11.0), US, 2, &m);
        assert_eq!(hb.clocks()[&2].lb, Some(89_000_000_000));
        assert_eq!(reply.delta_ub, Some(SignedSpan::from_nanos(-89_000_000_000)));
        let next = hb.round(at(12.0), US).remove(0).ping;
        assert_eq!(next.delta_ub, reply.delta_ub, "our clock is at least 89 s behind theirs");
    }

    #[test]
    fn the_clock_of_a_peer_that_has_started_again_is_unknown_until_it_pings() {
        let mut hb = with_one_peer();
        let mut m = hb.round(at(10.0), US).remove(0).ping;
        m.up_from = 3;
        hb.ping(at(11.0), US, 2, &m);
        hb.forget_old_clocks(|_| 3);
        assert!(hb.clocks().contains_key(&2));
        hb.forget_old_clocks(|_| 8);
        assert!(!hb.clocks().contains_key(&2));
        hb.ping(at(12.0), US, 2, &m);
        assert!(!hb.clocks().contains_key(&2), "a ping of its last life came late");
        m.up_from = 8;
        hb.ping(at(13.0), US, 2, &m);
        assert!(hb.clocks().contains_key(&2));
    }
}
