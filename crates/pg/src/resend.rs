//! Asking again. Sessions between OSDs lose nothing while they live, but a session can end within an
//! interval: the peer forgot it, or took it for one of an earlier life. What was on its way is gone then,
//! and since no map says so nobody else would begin anew.
//!
//! Invariant: whatever a PG waits for from a peer in an interval is asked for again when the session with
//! that peer was lost, and after a pause that doubles each time in any case. All of it may be answered or
//! carried out twice without harm: questions have the same answer until the asker goes on, an activation is
//! taken once and acknowledged each time, a write is known by its version.

use std::time::Duration;

use messages::MOSDPGRemove;
use types::{EVersion, OsdId, PgQueryKind};

use crate::env::{Env, PgOutput};
use crate::peering::Step;
use crate::pg::{Catchup, Pg, Phase};

/// The first pause; about what a peer may take that is busy with many PGs.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is waited for; as long as it is the same, the pauses grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Infos,
    Log,
    Missing,
    Activation,
    /// The write of this tid.
    Write(u64),
    Unfound,
}

#[derive(Debug, Default)]
pub(crate) struct Resend {
    what: Option<Waiting>,
    /// How much there is to come; less means that it goes on.
    left: usize,
    pause: Duration,
    pub at: Option<Duration>,
}

impl Pg {
    /// The session with an OSD was lost, with what was on its way in either direction.
    pub fn peer_reset(&mut self, env: &mut Env, osd: OsdId) {
        if self.is_deleting() || osd == self.whoami || !self.map.is_up(osd) {
            return;
        }
        match &self.phase {
            Phase::Stray if osd == self.ua.acting_primary => self.notify_primary(env),
            Phase::ReplicaActive(_) if osd == self.ua.acting_primary => self.acknowledge_activation(env),
            _ => self.ask_again(env, &|o| o == osd),
        }
        if let Phase::Active(_) = self.phase {
            self.backfill_again(env, osd);
            self.resend_repops(env, osd);
            self.reserve_again(env, osd);
            self.transfer_again(env, osd);
            self.scrub_again(env, osd);
            if self.peers.purged.contains(&osd) {
                env.send_osd(osd, MOSDPGRemove { epoch: self.map.epoch, pg_list: vec![self.id] });
            }
        }
        self.finish(env);
    }

    /// Sends again what some peers have not answered.
    fn ask_again(&mut self, env: &mut Env, whom: &dyn Fn(OsdId) -> bool) {
        let mut ask: Vec<(OsdId, PgQueryKind, EVersion)> = Vec::new();
        match &self.phase {
            Phase::Peering(p) => match &p.step {
                Step::GetInfo { requested } => {
                    ask.extend(requested.iter().map(|o| (*o, PgQueryKind::Info, EVersion::ZERO)));
                }
                Step::GetLog { auth } => ask.push((*auth, PgQueryKind::Log, self.log_wanted_since(*auth))),
                Step::GetMissing { requested } => {
                    ask.extend(
                        requested
                            .iter()
                            .filter_map(|o| Some((*o, self.missing_question(*o)?)))
                            .map(|(o, (kind, since))| (o, kind, since)),
                    );
                }
                Step::WaitUpThru => env.out.push(PgOutput::UpThru { want: self.info.history.same_interval_since }),
                Step::Down | Step::Incomplete => (),
            },
            Phase::Active(a) => {
                let told: Vec<OsdId> = a.told.keys().copied().filter(|o| whom(*o)).collect();
                for osd in told {
                    self.activate_again(env, osd);
                }
                ask.extend(self.peers.missing_requested.iter().map(|o| (*o, PgQueryKind::FullLog, EVersion::ZERO)));
            }
            _ => (),
        }
        for (osd, kind, since) in ask.into_iter().filter(|(o, ..)| whom(*o) && *o != self.whoami) {
            self.ask(env, osd, kind, since);
        }
    }

    fn activate_again(&mut self, env: &mut Env, osd: OsdId) {
        let Some(mut told) = self.active().and_then(|a| a.told.remove(&osd)) else { return };
        if let Catchup::UpToDate = told.how {
            // As a log without entries: on that it acknowledges also what it has done already.
            told.how = Catchup::LogSince(self.info.last_update);
        }
        self.send_activation(env, osd, &told);
        if let Some(active) = self.active() {
            active.told.insert(osd, told);
        }
    }

    /// What we wait for, and how much of it.
    fn waiting_for(&self) -> Option<(Waiting, usize)> {
        match &self.phase {
            Phase::Peering(p) => match &p.step {
                Step::GetInfo { requested } if !requested.is_empty() => Some((Waiting::Infos, requested.len())),
                Step::GetLog { auth } if *auth != self.whoami => Some((Waiting::Log, 1)),
                Step::GetMissing { requested } if !requested.is_empty() => Some((Waiting::Missing, requested.len())),
                _ => None,
            },
            Phase::Active(a) if !a.told.is_empty() => Some((Waiting::Activation, a.told.len())),
            Phase::Active(_) => match self.oldest_repop() {
                Some((tid, waiting)) if waiting.iter().any(|o| *o != self.whoami) => {
                    Some((Waiting::Write(tid), waiting.len()))
                }
                _ if !self.peers.missing_requested.is_empty() => {
                    Some((Waiting::Unfound, self.peers.missing_requested.len()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Called at the end of each call.
    pub(crate) fn plan_resend(&mut self, env: &Env) {
        let Some((what, left)) = self.waiting_for() else {
            self.resend = Resend::default();
            return;
        };
        let r = &mut self.resend;
        if r.what != Some(what) || left < r.left || r.at.is_none() {
            *r = Resend { what: Some(what), left, pause: PAUSE_MIN, at: Some(env.now.mono + PAUSE_MIN) };
        }
    }

    pub(crate) fn resend_due(&mut self, env: &mut Env) {
        if self.resend.at.is_none_or(|at| at > env.now.mono) {
            return;
        }
        if let Some(Waiting::Write(_)) = self.resend.what {
            let late: Vec<OsdId> = self.oldest_repop().map(|(_, w)| w.to_vec()).unwrap_or_default();
            for osd in late.into_iter().filter(|o| *o != self.whoami) {
                self.resend_repops(env, osd);
            }
        }
        self.ask_again(env, &|_| true);
        self.resend.pause = (self.resend.pause * 2).min(PAUSE_MAX);
        self.resend.at = Some(env.now.mono + self.resend.pause);
    }
}
