//! Read leases: until when a primary may serve reads without asking anyone.
//!
//! A primary that is cut off cannot know that others have taken over. So it serves only while a lease
//! runs that all members of the acting set have acknowledged, and members of a later interval wait
//! until every lease that the earlier one may hold has run out (`prior_readable_until_ub`).
//! (Ceph: doc/dev/osd_internals/stale_read; PeeringState::renew_lease and what follows)
//!
//! Who is waited for is known by the past intervals. A PG that is clean drops them, so it is not clean as long as
//! such a lease may run (`active+wait`): else the next primary, which may know of the lease by hearsay only, would
//! see nobody to wait for. (Unlike Ceph, where it is `active+clean+wait`, and forgets.)
//!
//! Times are on our own monotonic clock unless said otherwise; zero means none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use messages::{MOSDPGLease, MOSDPGLeaseAck};
use types::{Epoch, OsdId, PgHistory, PgLease, PgLeaseAck, Timespan};

use crate::env::{ClockDelta, Env};
use crate::interval::{UpActing, members};
use crate::pg::{Pg, Phase};
use crate::planted;

#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// How long one lease runs.
    interval: Duration,
    /// Primary: may serve until then. Replica: likewise, by what the primary told.
    pub readable_until: Duration,
    /// No one of this interval serves later than this.
    readable_until_ub: Duration,
    /// The latest bound that we gave out as primary.
    sent: Duration,
    /// On the primary's clock: the latest bound that it gave us; to be acknowledged.
    from_primary: Timespan,
    /// What each member of the acting set acknowledged.
    acked: BTreeMap<OsdId, Duration>,
    /// Members of earlier intervals may serve until then.
    pub prior_readable_until_ub: Duration,
    /// The first epoch of the newest interval of which we ourselves acknowledged, or gave, a lease that it is about.
    prior_own: Option<Epoch>,
    /// Because of these, which may be alive unseen.
    prior_down: BTreeSet<OsdId>,
    /// Of these the monitors said in this interval that they are dead. It stays true of those that are removed
    /// afterwards, and nobody gets an earlier interval's lease any more.
    prior_dead: BTreeSet<OsdId>,
    renew_at: Option<Duration>,
    /// When those who wait for an earlier interval's leases are looked at again.
    recheck_at: Option<Duration>,
}

fn minus(a: Duration, delta_ns: i64) -> Duration {
    let shift = Duration::from_nanos(delta_ns.unsigned_abs());
    if delta_ns >= 0 { a.saturating_sub(shift) } else { a + shift }
}

impl Leases {
    /// The OSD has just started, in the interval that began with epoch `since`: what the stored history says counts
    /// from now. If the PG was served before,
    /// our last life may have acknowledged a lease of which nothing is stored; it cannot run for longer
    /// than one that begins now. (Unlike Ceph, which forgets such a lease: where it is the only member
    /// of its interval that is asked, a primary that is cut off may then serve what is over.)
    pub fn started(&mut self, now: Duration, prior: Timespan, served: bool, since: Epoch) {
        let prior = prior.to_duration().max(if served { self.interval } else { Duration::ZERO });
        if !prior.is_zero() {
            self.prior_readable_until_ub = now + prior;
        }
        self.prior_own = served.then_some(since);
    }

    /// The other PG's objects are ours, or were: whoever may serve them by its leases counts for us, too.
    pub fn split_from(&mut self, other: &Self) {
        let theirs = other.prior_readable_until_ub.max(other.readable_until_ub);
        self.prior_readable_until_ub = self.prior_readable_until_ub.max(theirs);
        self.prior_own = self.prior_own.max(other.prior_own);
    }

    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// The interval that began with epoch `ended` is over.
    pub fn new_interval(&mut self, ua: &UpActing, primary: bool, now: Duration, ended: Epoch, history: &mut PgHistory) {
        if self.readable_until_ub > now {
            self.prior_own = Some(ended);
        }
        self.prior_readable_until_ub = self.prior_readable_until_ub.max(self.readable_until_ub);
        self.refresh_history(now, history);
        self.prior_down.clear();
        self.prior_dead.clear();
        self.readable_until = Duration::ZERO;
        self.readable_until_ub = Duration::ZERO;
        self.sent = Duration::ZERO;
        self.from_primary = Timespan::ZERO;
        self.renew_at = None;
        self.recheck_at = None;
        self.acked = if primary { members(&ua.acting).map(|o| (o, Duration::ZERO)).collect() } else { BTreeMap::new() };
    }

    fn forget_prior(&mut self) {
        self.prior_readable_until_ub = Duration::ZERO;
        self.prior_own = None;
    }

    /// Writes the remaining time into the history that is shared.
    pub fn refresh_history(&mut self, now: Duration, history: &mut PgHistory) {
        if now >= self.prior_readable_until_ub {
            self.forget_prior();
        }
        history.prior_readable_until_ub = self.prior_readable_until_ub.saturating_sub(now).into();
    }

    /// What a peer's history says of earlier leases (the part of Ceph's `pg_history_t::merge` that
    /// depends on the clock). Before the rest is merged.
    ///
    /// Who knows of no later start than the interval of our own lease may not have been a member of it, and so
    /// says nothing of that lease. (Unlike Ceph, where a backfill target's zero wins over what a member knows.)
    pub fn merge(&mut self, now: Duration, mine: &mut PgHistory, theirs: &PgHistory) {
        self.refresh_history(now, mine);
        if self.prior_own.is_some_and(|own| theirs.last_interval_started <= own) {
            return;
        }
        let newer = mine.last_interval_started < theirs.last_interval_started;
        let tighter = mine.last_interval_started == theirs.last_interval_started
            && theirs.prior_readable_until_ub.ns < mine.prior_readable_until_ub.ns;
        if newer || tighter {
            mine.prior_readable_until_ub = theirs.prior_readable_until_ub;
            self.prior_readable_until_ub = match theirs.prior_readable_until_ub.is_zero() {
                true => Duration::ZERO,
                false => now + theirs.prior_readable_until_ub.to_duration(),
            };
        }
    }

    /// Of the members of past intervals these are down.
    pub fn set_prior_down(&mut self, down: &BTreeSet<OsdId>) {
        self.prior_down = down.difference(&self.prior_dead).copied().collect();
    }

    /// Some OSDs are known to be dead by now. Whether that was news.
    pub fn forget_dead(&mut self, is_dead: impl Fn(OsdId) -> bool) -> bool {
        let before = self.prior_dead.len();
        let dead = self.prior_down.iter().copied().filter(|o| is_dead(*o));
        self.prior_dead.extend(dead);
        self.prior_down.retain(|o| !self.prior_dead.contains(o));
        self.prior_dead.len() > before
    }

    /// Who is up has told what it has, and so knows that its interval is over. Whether nobody is left to wait for.
    ///
    /// One that is up and was not heard yet may be cut off and serve; when it is marked down later it must be
    /// waited for. (Unlike Ceph, which forgets the bound as soon as it sees that all are up.)
    pub fn all_heard(&mut self) -> bool {
        let freed = self.prior_down.is_empty();
        if freed {
            self.forget_prior();
        }
        freed
    }

    pub fn renew(&mut self, whoami: OsdId, now: Duration) {
        self.sent = now + self.interval;
        self.recalc(whoami);
    }

    fn recalc(&mut self, whoami: OsdId) {
        let acked = self.acked.iter().filter(|(o, _)| **o != whoami).map(|(_, t)| *t).min();
        let min = acked.map_or(self.sent, |a| a.min(self.sent));
        self.readable_until = min;
        self.readable_until_ub = min;
    }

    pub fn lease(&self) -> PgLease {
        PgLease {
            readable_until: self.readable_until.into(),
            readable_until_ub: self.sent.into(),
            interval: self.interval.into(),
        }
    }

    pub fn ack(&self) -> PgLeaseAck {
        PgLeaseAck { readable_until_ub: self.from_primary }
    }

    /// A replica is told a lease.
    pub fn told(&mut self, now: Duration, lease: &PgLease, clock: ClockDelta) {
        if lease.readable_until_ub.ns > self.from_primary.ns {
            self.from_primary = lease.readable_until_ub;
        }
        if let (false, Some(ub)) = (lease.readable_until.is_zero(), clock.ub) {
            self.readable_until = self.readable_until.max(minus(lease.readable_until.to_duration(), ub));
        }
        let bound = match clock.lb {
            Some(lb) => minus(lease.readable_until_ub.to_duration(), lb),
            None => now + lease.interval.to_duration(),
        };
        self.readable_until_ub = self.readable_until_ub.max(bound);
    }

    /// A member acknowledged a lease (in terms of our clock). Whether we may serve for longer now.
    pub fn acknowledged(&mut self, whoami: OsdId, from: OsdId, ack: &PgLeaseAck) -> bool {
        let until = ack.readable_until_ub.to_duration();
        match self.acked.get_mut(&from) {
            Some(at) if *at < until => *at = until,
            _ => return false,
        }
        let before = self.readable_until;
        self.recalc(whoami);
        self.readable_until > before
    }

    pub fn next_wakeup(&self) -> Option<Duration> {
        [self.renew_at, self.recheck_at].into_iter().flatten().min()
    }
}

/// Whether reads (and writes, which must be ordered with them) may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    Yes,
    /// Members of an earlier interval may still serve (`wait`).
    Wait,
    /// Our own lease ran out (`laggy`).
    Laggy,
}

impl Pg {
    pub(crate) fn readable(&self, now: Duration) -> Readable {
        if self.leases.prior_readable_until_ub > now && !planted::has(planted::Bug::IgnoredLease) {
            Readable::Wait
        } else if self.leases.readable_until <= now {
            Readable::Laggy
        } else {
            Readable::Yes
        }
    }

    /// How long a lease of this pool runs (Ceph: `PGPool::get_readable_interval`).
    pub(crate) fn set_lease_interval(&mut self, env: &Env) {
        let of_pool = self.pool.opts.get_f64("read_lease_interval").and_then(|s| Duration::try_from_secs_f64(s).ok());
        let default = env.cfg.heartbeat_grace.mul_f64(env.cfg.pool_default_read_lease_ratio.clamp(0.0, 1.0));
        self.leases.set_interval(of_pool.unwrap_or(default));
    }

    /// Renews the lease, tells the members, and plans the next renewal.
    pub(crate) fn renew_leases(&mut self, env: &mut Env) {
        self.set_lease_interval(env);
        self.leases.renew(self.whoami, env.now.mono);
        for osd in members(&self.ua.acting).filter(|o| *o != self.whoami) {
            let lease = self.leases.lease();
            env.send_osd(osd, MOSDPGLease { epoch: self.map.epoch, spgid: self.id, lease });
        }
        self.leases.renew_at = Some(env.now.mono + self.leases.interval / 2);
    }

    /// An active PG of which an earlier interval may still be served looks again when that is over.
    pub(crate) fn plan_readable_check(&mut self, env: &Env) {
        let until = self.leases.prior_readable_until_ub;
        self.leases.recheck_at = (until > env.now.mono).then_some(until);
    }

    pub(crate) fn leases_due(&mut self, env: &mut Env) {
        if self.leases.renew_at.is_some_and(|t| t <= env.now.mono) {
            self.leases.renew_at = None;
            if matches!(&self.phase, Phase::Active(a) if a.all_activated) {
                self.renew_leases(env);
            }
        }
        if self.leases.recheck_at.is_some_and(|t| t <= env.now.mono) {
            self.leases.recheck_at = None;
            self.recheck_readable(env);
        }
    }

    pub(crate) fn on_lease(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLease) {
        if self.is_stale(from, m.epoch) || !matches!(self.phase, Phase::ReplicaActive(_)) {
            return;
        }
        self.take_lease(env, from, &m.lease);
        let lease_ack = self.leases.ack();
        env.send_osd(from, MOSDPGLeaseAck { epoch: self.map.epoch, spgid: self.id, lease_ack });
    }

    pub(crate) fn take_lease(&mut self, env: &Env, from: OsdId, lease: &PgLease) {
        let clock = env.clocks.get(&from).copied().unwrap_or_default();
        self.leases.told(env.now.mono, lease, clock);
    }

    pub(crate) fn on_lease_ack(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLeaseAck) {
        if !self.is_stale(from, m.epoch) && matches!(self.phase, Phase::Active(_)) {
            self.take_lease_ack(env, from, &m.lease_ack);
        }
    }

    pub(crate) fn take_lease_ack(&mut self, env: &mut Env, from: OsdId, ack: &PgLeaseAck) {
        if self.leases.acknowledged(self.whoami, from, ack) {
            self.recheck_readable(env);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A member of the interval that began with epoch 10, which holds a lease of its primary until 9 s.
    fn ended_member() -> (Leases, PgHistory) {
        let mut history = PgHistory { last_interval_started: 10, ..PgHistory::default() };
        let mut leases = Leases::default();
        let lease =
            PgLease { readable_until_ub: (9 * SECOND).into(), interval: (9 * SECOND).into(), ..PgLease::default() };
        leases.told(SECOND, &lease, ClockDelta { lb: Some(0), ub: Some(0) });
        leases.new_interval(&UpActing::default(), true, 2 * SECOND, 10, &mut history);
        (leases, history)
    }

    #[test]
    fn a_backfill_target_that_never_held_a_lease_does_not_end_a_members() {
        let (mut leases, mut mine) = ended_member();
        let theirs = PgHistory { last_interval_started: 10, ..PgHistory::default() };
        leases.merge(3 * SECOND, &mut mine, &theirs);
        assert_eq!(leases.prior_readable_until_ub, 9 * SECOND);
        assert_eq!(mine.prior_readable_until_ub.to_duration(), 6 * SECOND);
    }

    #[test]
    fn who_knows_of_a_later_start_knows_better() {
        let (mut leases, mut mine) = ended_member();
        let theirs = PgHistory { last_interval_started: 12, ..PgHistory::default() };
        leases.merge(3 * SECOND, &mut mine, &theirs);
        assert_eq!(leases.prior_readable_until_ub, Duration::ZERO);
    }
}
