//! Who is pinged, who has stopped to answer, and what the monitors are told of it.
//!
//! Each peer is pinged over the cluster and the public network. A ping that is not answered on both
//! within `osd_heartbeat_grace` makes the peer failed from our point of view: it is reported
//! (`MOSDFailure`), again and again while it lasts, and the report is taken back when it answers again.
//! Whether it *is* down the monitors decide.
//!
//! Unlike in Ceph,
//! - an OSD that has lost more than half of those it pings says so in its reports
//!   ([`MOSDFailure::ISOLATED`]): more likely than not it is itself cut off, and the monitors do not
//!   believe it without more evidence;
//! - a peer that is late is pinged with a small message over a new connection as well. If that is
//!   answered, large packets are lost on the way, which is another repair than that of a dead host;
//! - at least twelve pings are sent in one grace, so that a frozen OSD is known soon after it.
//!
//! Pings also carry the clocks' bounds that read leases need (Ceph: `HeartbeatStamps`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use messages::{MOSDFailure, MOSDPing, PingOp, SignedSpan};
use node::Now;
use pg::ClockDelta;
use types::options::Config;
use types::{EntityAddrVec, Epoch, HbPing, OsdId, Uuid};

mod peer;
mod times;

pub use peer::Wanted;
use peer::{HbPeer, Reported};

/// How often a report is repeated: a new leader of the monitors knows nothing of earlier ones.
const REPORT_AGAIN: Duration = Duration::from_secs(5);
/// A peer whose connections break is not pinged out of turn more often than this.
const HURRY: Duration = Duration::from_millis(500);
/// Pings are sent at least this often in one grace, if that is not less than a second apart.
const PINGS_A_GRACE: u32 = 12;
/// A ping without padding is shorter than this.
const SMALL: u32 = 64;

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
    pub net: HbNet,
    pub addrs: EntityAddrVec,
    pub ping: MOSDPing,
    /// Over a new connection: on the one that there is, something may be stuck.
    pub anew: bool,
}

/// What is to be said of a peer that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    pub failure: MOSDFailure,
    /// For people, when it is said for the first time.
    pub why: Vec<String>,
}

/// Which network a reply came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HbNet {
    Back = 0,
    Front = 1,
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Heartbeats {
    peers: BTreeMap<OsdId, HbPeer>,
    clocks: BTreeMap<OsdId, ClockDelta>,
    clock_epochs: BTreeMap<OsdId, Epoch>,
    next_round: Duration,
    interval: Duration,
    grace: Duration,
    min_size: u32,
    min_healthy: f64,
}

/// What pings say about us.
#[derive(Debug, Clone, Copy)]
pub struct Us {
    pub fsid: Uuid,
    pub epoch: Epoch,
    pub up_from: Epoch,
}

impl HbAddrs {
    fn of(&self, net: HbNet) -> &EntityAddrVec {
        match net {
            HbNet::Back => &self.back,
            HbNet::Front => &self.front,
        }
    }
}

impl Heartbeats {
    pub fn new(cfg: &Config) -> Self {
        let mut hb = Self {
            peers: BTreeMap::new(),
            clocks: BTreeMap::new(),
            clock_epochs: BTreeMap::new(),
            next_round: Duration::ZERO,
            interval: Duration::ZERO,
            grace: Duration::ZERO,
            min_size: 0,
            min_healthy: 0.0,
        };
        hb.configure(cfg);
        hb
    }

    pub fn configure(&mut self, cfg: &Config) {
        self.grace = cfg.secs("osd_heartbeat_grace");
        let often = (self.grace / PINGS_A_GRACE).max(Duration::from_secs(1));
        self.interval = cfg.secs("osd_heartbeat_interval").min(often).max(Duration::from_millis(100));
        self.min_size = cfg.u64("osd_heartbeat_min_size").min(64 << 10) as u32;
        self.min_healthy = cfg.f64("osd_heartbeat_min_healthy_ratio");
    }

    pub fn clocks(&self) -> &BTreeMap<OsdId, ClockDelta> {
        &self.clocks
    }

    pub fn peers(&self) -> BTreeSet<OsdId> {
        self.peers.keys().copied().collect()
    }

    /// When the next round is due, or the next peer becomes late.
    pub fn next_wakeup(&self) -> Duration {
        let unreported = self.peers.values().filter(|p| p.reported.is_none());
        // A ping is late only *after* its deadline.
        let deadlines = unreported.filter_map(|p| Some(p.deadline(self.grace)? + Duration::from_millis(1)));
        deadlines.min().unwrap_or(Duration::MAX).min(self.next_round)
    }

    pub fn next_round(&self) -> Duration {
        self.next_round
    }

    /// The next round is due at once.
    pub fn round_now(&mut self) {
        self.next_round = Duration::ZERO;
    }

    /// Ping times by peer, for the manager.
    pub fn ping_times(&self) -> BTreeMap<OsdId, HbPing> {
        self.peers.iter().filter_map(|(osd, p)| Some((*osd, p.ping_times()?))).collect()
    }

    /// Pings exactly these from now on. Reports about others are void: the map took them out, or they
    /// are none of our business any more.
    pub fn set_peers(&mut self, wanted: BTreeMap<OsdId, Wanted>) {
        self.peers.retain(|osd, peer| wanted.get(osd).is_some_and(|w| w.addrs == peer.addrs));
        for (osd, wanted) in wanted {
            let elsewhere = wanted.elsewhere;
            self.peers.entry(osd).or_insert_with(|| HbPeer::new(wanted)).elsewhere = elsewhere;
        }
    }

    /// We were not up: what peers did not answer to an instance that they did not know says nothing.
    pub fn forget(&mut self) {
        self.peers.clear();
    }

    /// Whether enough peers answer us that we may ask to be up (Ceph: `OSD::_is_healthy`); how many of how many.
    pub fn healthy(&self, now: Now) -> Result<(), (usize, usize)> {
        let healthy = self.peers.values().filter(|p| p.healthy(now.mono, self.grace)).count();
        let all = self.peers.len();
        if (healthy as f64) < all as f64 * self.min_healthy { Err((healthy, all)) } else { Ok(()) }
    }

    /// Whether we have lost more than half of a cluster of those whom we ping elsewhere and ourselves. Peers
    /// count as lost early: those that were asked in the last round before a cut may have answered it.
    pub fn isolated(&self, now: Now) -> bool {
        let any_elsewhere = self.peers.values().any(|p| p.elsewhere);
        let judged = self.peers.values().filter(|p| p.elsewhere || !any_elsewhere);
        let lost = |p: &&HbPeer| p.overdue(now.mono, self.grace / 2) || p.reported.as_ref().is_some_and(|r| r.refused);
        let (all, lost) = (judged.clone().count(), judged.filter(lost).count());
        2 * lost > all + 1
    }

    /// If a round is due: the pings to send.
    pub fn round(&mut self, now: Now, us: Us) -> Vec<PingTo> {
        if now.mono < self.next_round {
            return Vec::new();
        }
        self.next_round = now.mono + self.interval;
        let osds: Vec<OsdId> = self.peers.keys().copied().collect();
        osds.into_iter().flat_map(|osd| self.ping_peer(now, us, osd)).collect()
    }

    /// A connection to a peer broke: whether it is dead shows if it is pinged again, now.
    pub fn hurry(&mut self, now: Now, us: Us, osd: OsdId) -> Vec<PingTo> {
        let Some(peer) = self.peers.get_mut(&osd) else { return Vec::new() };
        if peer.reported.is_some() || peer.hurried.is_some_and(|at| now.mono < at + HURRY) {
            return Vec::new();
        }
        peer.hurried = Some(now.mono);
        self.ping_peer(now, us, osd)
    }

    fn ping_peer(&mut self, now: Now, us: Us, osd: OsdId) -> Vec<PingTo> {
        // How far our clock is at most ahead of theirs.
        let delta_ub = self.clocks.get(&osd).and_then(|c| c.lb).map(|lb| SignedSpan::from_nanos(-lb));
        let Some(peer) = self.peers.get_mut(&osd) else { return Vec::new() };
        let to = |net: HbNet, addrs: &HbAddrs, size: u32, anew: bool| {
            let (addrs, ping) = (addrs.of(net).clone(), us.ping(PingOp::Ping, now, size, delta_ub));
            PingTo { osd, net, addrs, ping, anew }
        };
        let mut pings = Vec::new();
        for net in peer.probe(now.mono, self.grace) {
            pings.push(to(net, &peer.addrs, 0, true));
        }
        peer.pinged(now.mono);
        pings.extend([HbNet::Front, HbNet::Back].map(|net| to(net, &peer.addrs, self.min_size, false)));
        pings
    }

    /// A ping of a peer: notes its clock and gives the reply, which is as long as the ping.
    pub fn ping(&mut self, now: Now, us: Us, from: OsdId, m: &MOSDPing) -> MOSDPing {
        let lower = m.mono_send_stamp.nanos() - mono_ns(now);
        if self.clock_is_current(from, m.up_from) {
            self.clocks.insert(from, ClockDelta { lb: Some(lower), ub: m.delta_ub.map(|d| d.nanos()) });
        }
        let size = m.min_message_size.min(64 << 10);
        let mut reply = us.ping(PingOp::PingReply, now, size, Some(SignedSpan::from_nanos(-lower)));
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
        if m.min_message_size <= SMALL && self.min_size > SMALL {
            peer.answered_small(now.mono, net);
            return None;
        }
        peer.answered(now.mono, now.wall.sec, net, m.mono_ping_stamp.nanos());
        if peer.overdue(now.mono, self.grace) {
            return None;
        }
        let told = peer.reported.take()?;
        Some(us.failure(from, told.addrs, 0, 0))
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
    pub fn refused(&mut self, now: Now, us: Us, osd: OsdId, addrs: &EntityAddrVec) -> Option<MOSDFailure> {
        let peer = self.peers.get_mut(&osd)?;
        // An address of an earlier instance says nothing about this one.
        let current = [&peer.addrs.front, &peer.addrs.back, &peer.addrs.cluster].contains(&addrs);
        if !current || peer.reported.as_ref().is_some_and(|r| r.refused) {
            return None;
        }
        let public = peer.addrs.public.clone();
        peer.reported = Some(Reported { addrs: public, isolated: false, at: Some(now.mono), refused: true });
        let isolated = self.isolated(now);
        Some(self.report(now, us, osd, isolated))
    }

    /// The peers that have been silent for too long, or are to be reported again: because time has gone by, or
    /// because we have become isolated or found back.
    pub fn failures(&mut self, now: Now, us: Us) -> Vec<FailureReport> {
        let isolated = self.isolated(now);
        let due = |p: &HbPeer| match &p.reported {
            None => p.overdue(now.mono, self.grace),
            Some(r) => r.isolated != isolated || r.at.is_none_or(|at| now.mono >= at + REPORT_AGAIN),
        };
        let due: Vec<OsdId> = self.peers.iter().filter(|(_, p)| due(p)).map(|(osd, _)| *osd).collect();
        due.into_iter()
            .map(|osd| FailureReport { why: self.why(now, osd), failure: self.report(now, us, osd, isolated) })
            .collect()
    }

    /// What a person wants to know when a peer is reported for the first time.
    fn why(&self, now: Now, osd: OsdId) -> Vec<String> {
        let Some(peer) = self.peers.get(&osd).filter(|p| p.reported.is_none()) else { return Vec::new() };
        let nets = peer.drops_large(now.mono, self.grace).into_iter();
        nets.map(|net| peer::mtu_text(osd, &peer.addrs, net, self.min_size)).collect()
    }

    /// The report of a peer that is there, and a note that it was sent.
    fn report(&mut self, now: Now, us: Us, osd: OsdId, isolated: bool) -> MOSDFailure {
        let peer = self.peers.get_mut(&osd).expect("only peers are reported");
        let refused = peer.reported.as_ref().is_some_and(|r| r.refused);
        let addrs = peer.addrs.public.clone();
        peer.reported = Some(Reported { addrs: addrs.clone(), isolated, at: Some(now.mono), refused });
        let silent = if refused { 0 } else { now.mono.saturating_sub(peer.silent_since()).as_secs() };
        let flags = MOSDFailure::FAILED
            | if refused { MOSDFailure::IMMEDIATE } else { 0 }
            | if isolated { MOSDFailure::ISOLATED } else { 0 };
        us.failure(osd, addrs, flags, i32::try_from(silent).unwrap_or(i32::MAX))
    }

    /// The session with the monitors is new: what was reported in the old one may be lost.
    pub fn report_again(&mut self) {
        self.peers.values_mut().filter_map(|p| p.reported.as_mut()).for_each(|r| r.at = None);
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

    fn config() -> Config {
        let mut cfg = Config::daemon();
        cfg.set("osd_heartbeat_grace", "6", types::options::Source::Cmdline).unwrap();
        cfg.set("osd_heartbeat_interval", "1", types::options::Source::Cmdline).unwrap();
        cfg
    }

    fn with_one_peer() -> Heartbeats {
        let mut hb = Heartbeats::new(&config());
        let addrs = HbAddrs { front: addr(1), back: addr(2), cluster: addr(4), public: addr(3) };
        hb.set_peers([(2, Wanted { addrs, elsewhere: true })].into());
        hb
    }

    /// Peers 1, 2, …, of which the first few stand where we stand.
    fn with_peers(here: i32, elsewhere: i32) -> Heartbeats {
        let mut hb = Heartbeats::new(&config());
        let wanted = |osd: i32| {
            let at = |n: u16| addr(osd as u16 * 10 + n);
            let addrs = HbAddrs { front: at(1), back: at(2), cluster: at(4), public: at(3) };
            (osd, Wanted { addrs, elsewhere: osd > here })
        };
        hb.set_peers((1..=here + elsewhere).map(wanted).collect());
        hb
    }

    /// A second at a time: a round, in which these answer.
    fn play(hb: &mut Heartbeats, secs: std::ops::Range<u32>, alive: &[OsdId]) -> Vec<FailureReport> {
        let mut reports = Vec::new();
        for sec in secs {
            for p in hb.round(at(sec.into()), US) {
                if alive.contains(&p.osd) {
                    let m = MOSDPing { op: PingOp::PingReply, ..p.ping };
                    hb.reply(at(f64::from(sec) + 0.01), US, p.osd, p.net, &m);
                }
            }
            reports.extend(hb.failures(at(f64::from(sec) + 0.5), US));
        }
        reports
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
        assert_eq!(hb.next_wakeup(), at(2.0).mono);
        hb.round(at(7.0), US);
        assert_eq!(hb.next_wakeup(), at(7.001).mono, "it is looked at as soon as the grace is over");
        let report = hb.failures(at(7.5), US).remove(0).failure;
        assert_eq!((report.target_osd, report.flags, &report.target_addrs), (2, MOSDFailure::FAILED, &addr(3)));
        assert!(hb.failures(at(8.0), US).is_empty());
        assert_eq!(hb.failures(at(12.6), US).len(), 1, "a new leader of the monitors has to hear it, too");
        hb.report_again();
        assert_eq!(hb.failures(at(12.7), US).len(), 1);
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
        let report = hb.refused(at(1.0), US, 2, &addr(1)).unwrap();
        assert_eq!(report.flags, MOSDFailure::FAILED | MOSDFailure::IMMEDIATE);
        assert_eq!(hb.refused(at(1.0), US, 2, &addr(2)), None);
    }

    #[test]
    fn a_broken_connection_makes_one_ping_out_of_turn() {
        let mut hb = with_one_peer();
        hb.round(at(1.0), US);
        assert_eq!(hb.hurry(at(1.2), US, 2).len(), 2);
        assert!(hb.hurry(at(1.3), US, 2).is_empty());
        assert!(hb.hurry(at(1.3), US, 5).is_empty());
    }

    #[test]
    fn who_has_lost_most_of_its_peers_says_so() {
        let mut hb = with_peers(0, 3);
        play(&mut hb, 1..10, &[1, 2, 3]);
        let reports = play(&mut hb, 10..18, &[1]);
        let isolated: Vec<_> = reports.iter().map(|r| (r.failure.target_osd, r.failure.flags)).collect();
        assert_eq!(isolated, [(2, 1), (3, 1)], "two of four are gone: that may be either side's fault");
        let mut hb = with_peers(0, 3);
        play(&mut hb, 1..10, &[1, 2, 3]);
        let reports = play(&mut hb, 10..18, &[]);
        assert!(reports.iter().all(|r| r.failure.flags == MOSDFailure::FAILED | MOSDFailure::ISOLATED), "{reports:?}");
        let back = play(&mut hb, 18..20, &[1, 2]);
        assert_eq!(back.last().map(|r| (r.failure.target_osd, r.failure.flags)), Some((3, 1)), "its word counts again");
    }

    #[test]
    fn peers_on_the_same_host_say_nothing_about_the_hosts_network() {
        let mut hb = with_peers(4, 2);
        play(&mut hb, 1..10, &[1, 2, 3, 4, 5, 6]);
        let reports = play(&mut hb, 10..18, &[1, 2, 3, 4]);
        assert_eq!(reports.len(), 2);
        assert!(reports.iter().all(|r| r.failure.flags & MOSDFailure::ISOLATED != 0));
    }

    #[test]
    fn the_last_peer_of_a_round_that_a_cut_interrupts_is_not_blamed_alone() {
        let mut hb = with_peers(0, 4);
        play(&mut hb, 1..10, &[1, 2, 3, 4]);
        // Osd.1 did not answer the last round before the cut, the others did.
        play(&mut hb, 10..11, &[2, 3, 4]);
        let reports = play(&mut hb, 11..18, &[]);
        assert!(reports.iter().all(|r| r.failure.flags & MOSDFailure::ISOLATED != 0), "{reports:?}");
    }

    #[test]
    fn a_network_that_loses_large_packets_is_told_apart_from_a_dead_host() {
        let mut hb = with_one_peer();
        let mut reports = Vec::new();
        for sec in 1..9 {
            for p in hb.round(at(sec.into()), US) {
                let large = p.ping.min_message_size > SMALL;
                if !(large && p.net == HbNet::Back) {
                    // What travels is as long as it says, and so is the answer.
                    let size = p.ping.min_message_size.max(29);
                    let reply = hb.ping(at(sec.into()), US, 7, &MOSDPing { min_message_size: size, ..p.ping });
                    hb.reply(at(f64::from(sec) + 0.01), US, 2, p.net, &reply);
                }
            }
            reports.extend(hb.failures(at(f64::from(sec) + 0.5), US));
        }
        assert_eq!(reports.len(), 1);
        assert_eq!(
            reports[0].why,
            ["osd.2 at v2:127.0.0.1:2/1 answers small pings over the back (cluster) network but not those of 2000 \
                 bytes: large packets are lost on the way, so check the MTU of both hosts and of the switches between \
                 them"]
        );
        // One that is dead answers neither.
        let mut hb = with_one_peer();
        assert_eq!(play(&mut hb, 1..9, &[])[0].why, [""; 0]);
    }

    #[test]
    fn ping_times_are_kept_by_network() {
        let mut hb = with_one_peer();
        let ping = hb.round(at(1.0), US).remove(0).ping;
        answer(&mut hb, 1.004, &ping, HbNet::Front);
        answer(&mut hb, 1.002, &ping, HbNet::Back);
        assert!(hb.ping_times().is_empty());
        let ping = hb.round(at(62.0), US).remove(0).ping;
        answer(&mut hb, 62.1, &ping, HbNet::Front);
        answer(&mut hb, 62.1, &ping, HbNet::Back);
        let times = &hb.ping_times()[&2];
        assert_eq!((times.front.pingtime, times.back.pingtime), ([4_000; 3], [2_000; 3]));
        assert_eq!(times.last_update, 1_795_000_000);
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
