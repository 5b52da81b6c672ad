//! `pg ID query`: everything about the PG, in Ceph's shape (Ceph: `dump_peering_state` and the states'
//! reactions to `QueryState`).

use node::Now;
use types::dump::Dump;
use types::{HObject, UTime, pg_state};

use crate::backfill::Interval;
use crate::env::Env;
use crate::peering::{Peering, Step};
use crate::pg::{Pg, Phase};
use crate::reserve::Stage;
use crate::state_history::StateTimes;

/// A list of things, each as text.
fn texts<T: std::fmt::Display>(item: &'static str, list: impl IntoIterator<Item = T>) -> Dump {
    Dump::arr(item, list.into_iter().map(|t| t.to_string()))
}

fn state(name: &str, since: UTime) -> Dump {
    Dump::obj().with("name", name).with("enter_time", Dump::text(since))
}

impl Pg {
    /// `pg ID query`.
    pub fn query(&mut self, now: Now) -> Dump {
        self.refresh_stat(now);
        let mut out = Dump::obj()
            .with("snap_trimq", self.trim.queue().to_string())
            .with("snap_trimq_len", self.trim.queue().size())
            .with("state", pg_state::to_string(self.state()))
            .with("epoch", self.map.epoch)
            .with("up", Dump::arr("osd", self.ua.up.iter().copied()))
            .with("acting", Dump::arr("osd", self.ua.acting.iter().copied()));
        if !self.actingbackfill.is_empty() {
            out.put("acting_recovery_backfill", texts("shard", &self.actingbackfill));
        }
        let peers = self.peers.info.iter().map(|(osd, info)| {
            let mut peer = Dump::obj().with("peer", osd.to_string());
            peer.extend(info.dump());
            peer
        });
        out.with("info", self.info.dump())
            .with("peer_info", Dump::arr("info", peers.collect::<Vec<_>>()))
            .with("recovery_state", Dump::arr("state", self.states()))
            .with("scrubber", self.dump_scrub())
            .with("agent_state", Dump::obj())
    }

    /// The states the PG is in, the innermost first.
    fn states(&self) -> Vec<Dump> {
        let since = self.phase_since;
        let mut all = match &self.phase {
            Phase::Reset => return vec![state("Reset", since)],
            Phase::Stray => Vec::new(),
            Phase::ReplicaActive(_) => vec![state("Started/ReplicaActive", since)],
            Phase::Peering(p) => vec![self.peering_step(p), self.peering_state(p)],
            Phase::WaitActingChange => {
                vec![commented("Started/Primary/WaitActingChange", since, "waiting for pg acting set to change")]
            }
            Phase::Active(_) => vec![self.active_state()],
            Phase::Deleting(_) => vec![state("Started/ToDelete/Deleting", since)],
        };
        all.push(state("Started", self.started_since));
        all
    }

    fn peering_step(&self, p: &Peering) -> Dump {
        let since = self.phase_since;
        match &p.step {
            Step::GetInfo { requested } => {
                let asked = requested.iter().map(|o| {
                    let mut asked = Dump::obj().with("osd", o.to_string());
                    if let Some(info) = self.peers.info.get(o) {
                        asked.put("got_info", info.dump());
                    }
                    asked
                });
                state("Started/Primary/Peering/GetInfo", since)
                    .with("requested_info_from", Dump::arr("osd", asked.collect::<Vec<_>>()))
            }
            Step::GetLog { auth } => {
                state("Started/Primary/Peering/GetLog", since).with("auth_log_shard", auth.to_string())
            }
            Step::GetMissing { requested } => {
                let asked = requested.iter().map(|o| Dump::obj().with("osd", o.to_string()));
                state("Started/Primary/Peering/GetMissing", since)
                    .with("peer_missing_requested", Dump::arr("osd", asked.collect::<Vec<_>>()))
            }
            Step::WaitUpThru => commented(
                "Started/Primary/Peering/WaitUpThru",
                since,
                "waiting for osdmap to reflect a new up_thru for this osd",
            ),
            Step::Down => {
                let why = "not enough up instances of this PG to go active";
                commented("Started/Primary/Peering/Down", since, why)
            }
            Step::Incomplete => {
                let why = "not enough complete instances of this PG";
                commented("Started/Primary/Peering/Incomplete", since, why)
            }
        }
    }

    fn peering_state(&self, p: &Peering) -> Dump {
        let mut out = state("Started/Primary/Peering", self.started_since)
            .with("past_intervals", Dump::arr("PastIntervals", [self.past.dump()]))
            .with("probing_osds", texts("osd", &p.prior.probe));
        if p.prior.pg_down {
            out.put("blocked", "peering is blocked due to down osds");
        }
        let blocked = p.prior.blocked_by.iter().map(|(osd, lost_at)| {
            Dump::obj()
                .with("osd", *osd)
                .with("current_lost_at", *lost_at)
                .with("comment", "starting or marking this osd lost may let us proceed")
        });
        let mut out = out
            .with("down_osds_we_would_probe", Dump::arr("osd", p.prior.down.iter().copied()))
            .with("peering_blocked_by", Dump::arr("osd", blocked.collect::<Vec<_>>()));
        if p.history_les_bound {
            let detail = Dump::obj().with("detail", "peering_blocked_by_history_les_bound");
            out.put("peering_blocked_by_detail", Dump::arr("item", [detail]));
        }
        out
    }

    fn active_state(&self) -> Dump {
        let r = &self.recovery;
        let pulls = r
            .pulls
            .iter()
            .map(|(soid, (from, _))| Dump::obj().with("pull_from", from.to_string()).with("soid", Dump::text(soid)));
        let pushes = r.pushes.iter().flat_map(|(soid, all)| all.keys().map(move |osd| (soid, osd)));
        let pushes =
            pushes.map(|(soid, osd)| Dump::obj().with("object", Dump::text(soid)).with("peer", osd.to_string()));
        let backend = Dump::obj()
            .with("pull_from_peer", Dump::arr("pull", pulls.collect::<Vec<_>>()))
            .with("pushing", Dump::arr("pushing", pushes.collect::<Vec<_>>()));
        let b = &self.backfill;
        let (ours, theirs) = b.lists();
        let theirs = theirs.iter().map(|(osd, list)| interval(list).with("osd", osd.to_string()));
        let progress = Dump::obj()
            .with("backfill_targets", texts("replica", &self.backfill_targets))
            .with("waiting_on_backfill", texts("osd", b.waiting_on()))
            .with("last_backfill_started", Dump::text(&b.last_started))
            .with("backfill_info", interval(ours))
            .with("peer_backfill_info", Dump::arr("peer", theirs.collect::<Vec<_>>()))
            .with("backfills_in_flight", texts("object", b.in_flight()))
            .with("recovering", texts("object", r.objects()))
            .with("pg_backend", backend);
        state("Started/Primary/Active", self.phase_since)
            .with("might_have_unfound", self.might_have_unfound())
            .with("recovery_progress", progress)
    }

    /// Who might have objects that nobody here has, and what became of asking them.
    fn might_have_unfound(&self) -> Dump {
        let asked = self.peers.might_have_unfound.iter().filter(|_| self.needs_recovery()).map(|osd| {
            let status = if self.peers.missing.contains_key(osd) {
                "already probed"
            } else if self.peers.missing_requested.contains(osd) {
                "querying"
            } else if !self.map.is_up(*osd) {
                "osd is down"
            } else {
                "not queried"
            };
            Dump::obj().with("osd", osd.to_string()).with("status", status)
        });
        Dump::arr("osd", asked.collect::<Vec<_>>())
    }

    /// `pg ID list_unfound`: objects that nobody has, and where they might be; at most so many, after one of
    /// an earlier answer.
    pub fn list_unfound(&self, after: Option<&HObject>, max: usize) -> Dump {
        let later = |soid: &&HObject| after.is_none_or(|a| **soid > *a);
        let mut rest = self.missing_loc.unfound().filter(later);
        let objects: Vec<Dump> = rest.by_ref().take(max).map(|soid| self.unfound_object(soid)).collect();
        let more = rest.next().is_some();
        let active = matches!(self.phase, Phase::Active(_));
        let mut out = Dump::obj()
            .with("num_missing", self.missing_loc.all().count())
            .with("num_unfound", self.missing_loc.num_unfound())
            .with("objects", Dump::arr("object", objects))
            .with("state", self.bare_state())
            .with("available_might_have_unfound", active);
        if active {
            out.put("might_have_unfound", self.might_have_unfound());
        }
        out.with("more", more)
    }

    fn unfound_object(&self, soid: &HObject) -> Dump {
        let oid = Dump::obj()
            .with("oid", Dump::text(&soid.oid))
            .with("key", Dump::text(&soid.key))
            .with("snapid", if soid.is_head() { -2 } else { soid.snap as i64 })
            .with("hash", soid.hash)
            .with("max", i32::from(soid.max))
            .with("pool", soid.pool)
            .with("namespace", Dump::text(&soid.nspace));
        let item = self.missing_loc.needs(soid).cloned().unwrap_or_default();
        Dump::obj()
            .with("oid", oid)
            .with("need", Dump::text(item.need))
            .with("have", Dump::text(item.have))
            .with("flags", if item.is_delete { "delete" } else { "none" })
            .with("clean_regions", Dump::text(&item.clean_regions))
            .with("locations", texts("shard", self.missing_loc.locations(soid)))
    }

    /// The innermost state's own name.
    fn bare_state(&self) -> &'static str {
        let whole = self.whole_state();
        whole.rsplit_once('/').map_or(whole, |(_, own)| own)
    }

    /// The innermost state with all that it is within.
    fn whole_state(&self) -> &'static str {
        match &self.phase {
            Phase::Reset => "Reset",
            Phase::Stray => "Started/Stray",
            Phase::ReplicaActive(_) => "Started/ReplicaActive",
            Phase::WaitActingChange => "Started/Primary/WaitActingChange",
            Phase::Deleting(_) => "Started/ToDelete/Deleting",
            Phase::Peering(p) => match &p.step {
                Step::GetInfo { .. } => "Started/Primary/Peering/GetInfo",
                Step::GetLog { .. } => "Started/Primary/Peering/GetLog",
                Step::GetMissing { .. } => "Started/Primary/Peering/GetMissing",
                Step::WaitUpThru => "Started/Primary/Peering/WaitUpThru",
                Step::Down => "Started/Primary/Peering/Down",
                Step::Incomplete => "Started/Primary/Peering/Incomplete",
            },
            Phase::Active(a) => match &a.stage {
                Stage::Activating => "Started/Primary/Active/Activating",
                Stage::WaitLocalRecoveryReserved => "Started/Primary/Active/WaitLocalRecoveryReserved",
                Stage::WaitRemoteRecoveryReserved(_) => "Started/Primary/Active/WaitRemoteRecoveryReserved",
                Stage::Recovering => "Started/Primary/Active/Recovering",
                Stage::NotRecovering(_) => "Started/Primary/Active/NotRecovering",
                Stage::WaitLocalBackfillReserved => "Started/Primary/Active/WaitLocalBackfillReserved",
                Stage::WaitRemoteBackfillReserved(_) => "Started/Primary/Active/WaitRemoteBackfillReserved",
                Stage::Backfilling => "Started/Primary/Active/Backfilling",
                Stage::NotBackfilling(_) => "Started/Primary/Active/NotBackfilling",
                Stage::Recovered => "Started/Primary/Active/Recovered",
                Stage::Clean => "Started/Primary/Active/Clean",
            },
        }
    }

    /// A state may have been entered.
    pub(crate) fn note_state(&mut self, env: &Env) {
        let state = self.whole_state();
        self.states.is_in(state, self.map.epoch, env.now);
    }

    /// One entry of `dump_pgstate_history`.
    pub fn state_history(&self) -> Dump {
        self.states.dump(&self.id.to_string())
    }

    /// How long it was in which states.
    pub fn state_times(&self) -> &StateTimes {
        self.states.times()
    }

    pub fn forget_state_times(&mut self) {
        self.states.forget_times();
    }
}

fn interval(list: &Interval) -> Dump {
    let objects = list
        .objects
        .iter()
        .map(|(soid, version)| Dump::obj().with("object", Dump::text(soid)).with("version", Dump::text(version)));
    Dump::obj()
        .with("begin", Dump::text(&list.begin))
        .with("end", Dump::text(&list.end))
        .with("objects", Dump::arr("object", objects.collect::<Vec<_>>()))
}

fn commented(name: &str, since: UTime, comment: &str) -> Dump {
    state(name, since).with("comment", comment)
}
