//! One peer that is pinged: what it has answered, and for how long it has been silent.

use std::collections::VecDeque;
use std::time::Duration;

use types::{EntityAddrVec, HbPing, OsdId};

use super::times::Window;
use super::{HbAddrs, HbNet};

/// Whom to ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub addrs: HbAddrs,
    /// It stands elsewhere than we do (`mon_osd_reporter_subtree_level`): losing it may be our own fault.
    pub elsewhere: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenPing {
    sent: Duration,
    awaited: [bool; 2],
}

/// What the monitors were told.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub addrs: EntityAddrVec,
    pub isolated: bool,
    /// When; `None` if it has to be said again.
    pub at: Option<Duration>,
    /// Nobody listened at its address.
    pub refused: bool,
}

/// See the file's documentation. What is kept by network stands in the order of [`HbNet`].
#[derive(Debug, Clone)]
pub(crate) struct HbPeer {
    pub addrs: HbAddrs,
    pub elsewhere: bool,
    /// Pings not yet answered on both networks, oldest first.
    open: VecDeque<OpenPing>,
    first_tx: Option<Duration>,
    last_rx: [Option<Duration>; 2],
    /// When a small ping was last answered while large ones were not.
    small_rx: [Option<Duration>; 2],
    times: [Window; 2],
    /// Seconds since 1970.
    last_update: u32,
    pub reported: Option<Reported>,
    /// When it was last pinged outside the rounds.
    pub hurried: Option<Duration>,
    probed: Option<Duration>,
}

impl HbPeer {
    pub fn new(wanted: Wanted) -> Self {
        Self {
            addrs: wanted.addrs,
            elsewhere: wanted.elsewhere,
            open: VecDeque::new(),
            first_tx: None,
            last_rx: [None; 2],
            small_rx: [None; 2],
            times: Default::default(),
            last_update: 0,
            reported: None,
            hurried: None,
            probed: None,
        }
    }

    pub fn pinged(&mut self, mono: Duration) {
        self.first_tx.get_or_insert(mono);
        self.open.push_back(OpenPing { sent: mono, awaited: [true; 2] });
    }

    /// The oldest ping that was not answered on both networks has been open for longer than this.
    pub fn overdue(&self, mono: Duration, grace: Duration) -> bool {
        self.open.front().is_some_and(|oldest| mono > oldest.sent + grace)
    }

    /// When it becomes overdue, if nothing comes.
    pub fn deadline(&self, grace: Duration) -> Option<Duration> {
        Some(self.open.front()?.sent + grace)
    }

    /// Ceph: `HeartbeatInfo::is_healthy`: it has answered on both networks and is not late.
    pub fn healthy(&self, mono: Duration, grace: Duration) -> bool {
        self.last_rx.iter().all(Option::is_some) && !self.overdue(mono, grace)
    }

    /// Since when one of the networks is silent.
    pub fn silent_since(&self) -> Duration {
        let first = self.first_tx.unwrap_or_default();
        self.last_rx.iter().map(|rx| rx.unwrap_or(first)).min().unwrap_or(first)
    }

    /// The networks over which the oldest ping has been open for longer than `limit`.
    pub fn late(&self, mono: Duration, limit: Duration) -> Vec<HbNet> {
        let Some(oldest) = self.open.front().filter(|oldest| mono > oldest.sent + limit) else { return vec![] };
        [HbNet::Back, HbNet::Front].into_iter().filter(|net| oldest.awaited[*net as usize]).collect()
    }

    /// The networks over which to try whether a small ping is answered: those that are late, now and then.
    pub fn probe(&mut self, mono: Duration, grace: Duration) -> Vec<HbNet> {
        let nets = self.late(mono, grace / 2);
        if nets.is_empty() || self.probed.is_some_and(|at| mono < at + grace / 4) {
            return Vec::new();
        }
        self.probed = Some(mono);
        nets
    }

    /// A reply answers its ping and every older one on that network.
    pub fn answered(&mut self, mono: Duration, wall_secs: u32, net: HbNet, sent_ns: i64) {
        let i = net as usize;
        self.last_rx[i] = Some(mono);
        self.small_rx[i] = None;
        self.last_update = wall_secs;
        let sent = Duration::from_nanos(u64::try_from(sent_ns).unwrap_or(0));
        if self.open.iter().any(|p| p.sent == sent && p.awaited[i]) {
            self.times[i].add(mono, mono.saturating_sub(sent));
        }
        for ping in self.open.iter_mut().take_while(|p| p.sent <= sent) {
            ping.awaited[i] = false;
        }
        while self.open.front().is_some_and(|p| p.awaited == [false; 2]) {
            self.open.pop_front();
        }
    }

    /// A small ping was answered.
    pub fn answered_small(&mut self, mono: Duration, net: HbNet) {
        self.small_rx[net as usize] = Some(mono);
    }

    /// The networks over which small pings come through and large ones do not: not the peer is dead, but
    /// something on the way drops large packets.
    pub fn drops_large(&self, mono: Duration, grace: Duration) -> Vec<HbNet> {
        let late = self.late(mono, grace / 2).into_iter();
        late.filter(|net| self.small_rx[*net as usize].is_some_and(|at| at + grace > mono)).collect()
    }

    pub fn ping_times(&self) -> Option<HbPing> {
        let [back, front] = &self.times;
        let some = !back.is_empty() || !front.is_empty();
        some.then(|| HbPing { last_update: self.last_update, back: back.times(), front: front.times() })
    }
}

/// What is said when large packets are lost.
pub(crate) fn mtu_text(osd: OsdId, addrs: &HbAddrs, net: HbNet, size: u32) -> String {
    let (word, at) = match net {
        HbNet::Back => ("back (cluster)", &addrs.back),
        HbNet::Front => ("front (public)", &addrs.front),
    };
    format!(
        "osd.{osd} at {at} answers small pings over the {word} network but not those of {size} bytes: large packets are \
         lost on the way, so check the MTU of both hosts and of the switches between them"
    )
}
