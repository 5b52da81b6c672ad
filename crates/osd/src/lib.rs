//! The OSD: boot, maps, placement groups, heartbeats, scheduling.
//!
//! [`Osd`] is the node. It keeps the maps ([`maps`]), joins the cluster ([`boot`]), holds the PGs and
//! performs what they ask for ([`pgs`]), takes them from map to map ([`pg_num`]), hands them messages
//! ([`dispatch`]), watches its peers ([`heartbeat`]), shares out what recovery may take ([`recovery`]), fetches
//! objects that its PGs copy from others ([`copies`]), and tells the manager how it is
//! ([`report`]). What a PG *does* is crate `pg`.
//!
//! Invariants:
//! - No PG sees a map that is not submitted to the store before anything the PG then submits.
//! - A message goes to a PG only if its sender is, in our map, the instance that sent it.
//! - Each PG stands at an epoch no later than [`maps::Maps::epoch`], and reaches it before the next
//!   input is handled.

#![forbid(unsafe_code)]

mod bench;
mod boot;
mod command;
mod copies;
mod counters;
mod disk_times;
mod dispatch;
mod farewell;
pub mod heartbeat;
mod inspect;
mod losses;
mod maps;
mod markdowns;
pub mod offline;
mod ops;
pub mod pace;
mod pg_num;
mod pgs;
mod recovery;
mod report;
pub mod reserver;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use heartbeat::Heartbeats;
use maps::Maps;
use monclient::{MonAddr, MonClient};
use node::{ConnId, Endpoint, Input, Level, Listening, Logging, Node, Now, Output, Peer, Timers, Token};
use os::ObjectRead;
use pg::scrub::ScrubSlots;
use pg::track::Tracker;
use pg::{Pg, PgConfig, PgOutput, Tokens};
use reserver::Reserver;
use types::options::{Config, Source};
use types::{Epoch, OsdId, PgId, SpgId, Uuid};

/// What an OSD is told when it is made.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub whoami: OsdId,
    /// Of the cluster.
    pub fsid: Uuid,
    /// Of this OSD's store: another OSD's store is refused.
    pub osd_fsid: Uuid,
    pub listening: Listening,
    pub mons: Vec<MonAddr>,
    pub hostname: String,
    /// From the configuration file and the command line: (option, value).
    pub options: Vec<(String, String)>,
    /// What `osd metadata` shows of the machine.
    pub metadata: BTreeMap<String, String>,
    pub seed: u64,
}

impl Setup {
    fn is_rotational(&self) -> bool {
        self.metadata.get("rotational").is_some_and(|v| v == "1")
    }
}

/// Where the OSD is on its way into the cluster, and out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Finding out what the newest map is.
    PreBoot,
    /// Marked down though it lives: waits until enough peers answer.
    Waiting,
    /// `MOSDBoot` is sent; again if nothing comes of it.
    Booting { until: Duration },
    /// Up in the map.
    Active,
    /// Told the monitors to mark us down.
    Stopping { until: Duration },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Tick,
    Beacon,
    /// The manager is told how we are.
    Report,
    /// A PG's own timers.
    Pg(SpgId),
    /// The pause between two recoveries is over.
    Recovery,
}

/// One connection that somebody made to us, or we to a daemon.
#[derive(Debug)]
struct Conn {
    peer: Arc<Peer>,
    via: Endpoint,
    /// The newest map that we sent over it.
    sent_epoch: Epoch,
    /// When a client's last operation came, and the newest map that it has shown to have.
    last_op: Option<(Duration, Epoch)>,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct Osd {
    setup: Setup,
    cfg: Config,
    pg_cfg: PgConfig,
    state: State,
    mon: MonClient,
    maps: Option<Maps>,
    conns: BTreeMap<ConnId, Conn>,
    pgs: BTreeMap<SpgId, Pg>,
    tokens: Tokens,
    tracker: Tracker,
    /// What other OSDs asked to be written, until it is on our disk.
    sub_ops: ops::SubOps,
    /// Whose the submitted transactions are, in order; `None`: the OSD's own.
    submitted: VecDeque<(Token, Option<SpgId>)>,
    reads: BTreeMap<Token, SpgId>,
    copies: copies::Copies,
    /// PGs that may have work which needs no input.
    run_queue: BTreeSet<SpgId>,
    /// Reused between calls.
    pg_out: Vec<PgOutput>,
    timers: Timers<Timer>,
    heartbeats: Heartbeats,
    heartbeat_peers_changed: bool,
    markdowns: markdowns::Markdowns,
    /// The store keeps nothing any more: we are on our way out.
    failed: bool,
    /// So full (`osd_failsafe_full_ratio`) that only what frees space is taken, whatever the map says.
    failsafe_full: bool,
    failsafe_ratio: f64,
    logging: Logging,
    local_slots: Reserver<SpgId>,
    remote_slots: Reserver<SpgId>,
    trim_slots: Reserver<SpgId>,
    scrubs: ScrubSlots,
    rooms: pg::Rooms,
    recovery: recovery::RecoveryQueue,
    disk_times: disk_times::DiskTimes,
    merges: pg_num::Merges,
    waiting: dispatch::Waiting,
    /// The latest epoch somebody knows of, and that we asked the monitors for.
    wanted_epoch: Epoch,
    up_thru_wanted: Epoch,
    pg_temp_wanted: BTreeMap<PgId, (Vec<OsdId>, bool)>,
    /// When the monitors are asked again for what they were asked and the map does not show.
    mon_again_at: Option<Duration>,
    report: report::Report,
    log: report::ClusterLog,
    bench: Option<bench::Bench>,
}

impl Osd {
    pub fn new(setup: Setup) -> Self {
        let mut cfg = Config::daemon();
        for (name, value) in &setup.options {
            // What is not an option of an OSD is no business of ours; the command line checks names.
            let _ = cfg.set(name, value, Source::File);
        }
        let mon = MonClient::new(setup.mons.clone(), setup.hostname.clone(), setup.seed);
        let backfills = cfg.u64("osd_max_backfills") as usize;
        Self {
            pg_cfg: PgConfig::for_disk(&cfg, 0, setup.is_rotational()),
            state: State::PreBoot,
            mon,
            maps: None,
            conns: BTreeMap::new(),
            pgs: BTreeMap::new(),
            tokens: Tokens::default(),
            tracker: Tracker::new(&cfg),
            sub_ops: ops::SubOps::default(),
            submitted: VecDeque::new(),
            reads: BTreeMap::new(),
            copies: copies::Copies::default(),
            run_queue: BTreeSet::new(),
            pg_out: Vec::new(),
            timers: Timers::default(),
            heartbeats: Heartbeats::new(&cfg),
            heartbeat_peers_changed: false,
            markdowns: markdowns::Markdowns::default(),
            failed: false,
            failsafe_full: false,
            failsafe_ratio: cfg.f64("osd_failsafe_full_ratio"),
            logging: Logging::default().configured(&cfg, DEBUG),
            local_slots: Reserver::new(backfills),
            remote_slots: Reserver::new(backfills),
            trim_slots: Reserver::new(cfg.u64("osd_max_trimming_pgs") as usize),
            scrubs: ScrubSlots::new(cfg.u64("osd_max_scrubs") as usize),
            rooms: pg::Rooms::default(),
            recovery: recovery::RecoveryQueue::default(),
            disk_times: disk_times::DiskTimes::default(),
            merges: pg_num::Merges::default(),
            waiting: dispatch::Waiting::default(),
            wanted_epoch: 0,
            up_thru_wanted: 0,
            pg_temp_wanted: BTreeMap::new(),
            mon_again_at: None,
            report: report::Report::default(),
            log: report::ClusterLog::default(),
            bench: None,
            setup,
            cfg,
        }
    }

    pub fn whoami(&self) -> OsdId {
        self.setup.whoami
    }

    /// The PGs here, for tests and tools.
    pub fn pgs(&self) -> impl Iterator<Item = &Pg> {
        self.pgs.values()
    }

    /// How many copies here were found bad and written anew since it started.
    pub fn mended(&self) -> u64 {
        self.scrubs.mended_total()
    }

    /// The newest map that this OSD has taken, for tests and tools.
    pub fn map_epoch(&self) -> Epoch {
        self.epoch()
    }

    fn epoch(&self) -> Epoch {
        self.maps.as_ref().map_or(0, Maps::epoch)
    }

    /// Options have changed: everything that caches one reads it again.
    fn configure(&mut self, now: Now) {
        self.pg_cfg = PgConfig::for_disk(&self.cfg, self.pgs.len(), self.setup.is_rotational());
        self.heartbeats.configure(&self.cfg);
        self.tracker.configure(&self.cfg);
        self.failsafe_ratio = self.cfg.f64("osd_failsafe_full_ratio");
        self.logging = self.logging.configured(&self.cfg, DEBUG);
        let backfills = self.cfg.u64("osd_max_backfills") as usize;
        self.local_slots.set_max(backfills);
        self.remote_slots.set_max(backfills);
        self.trim_slots.set_max(self.cfg.u64("osd_max_trimming_pgs") as usize);
        self.scrubs.set_max(self.cfg.u64("osd_max_scrubs") as usize);
        self.plan_tick(now);
    }

    fn plan_tick(&mut self, now: Now) {
        let tick = self.cfg.secs("osd_heartbeat_interval").min(Duration::from_secs(1));
        self.timers.set(Timer::Tick, now.mono + tick.max(Duration::from_millis(100)));
    }

    fn log(&self, level: Level, text: impl Into<String>, out: &mut Vec<Output>) {
        out.push(Output::Log { level, text: text.into() });
    }

    /// Something that a person must look at has happened: says it and ends.
    fn give_up(&mut self, text: String, out: &mut Vec<Output>) {
        self.log(Level::Error, text, out);
        out.push(Output::Exit { code: 1 });
    }

    fn wake(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        self.mon.wake(now, out);
        // Each due timer once: a PG with work left sets its own again at once, and does the work in a step.
        let due: Vec<Timer> = std::iter::from_fn(|| self.timers.pop_due(now.mono)).collect();
        for timer in due {
            match timer {
                Timer::Tick => self.tick(now, store, out),
                Timer::Beacon => self.send_beacon(now, out),
                Timer::Report => self.send_report(now, store, out),
                Timer::Pg(id) => self.with_pg(now, store, id, out, |pg, env| pg.wake(env)),
                Timer::Recovery => self.run_recovery(now, store, out),
            }
        }
        if self.heartbeats.next_wakeup() <= now.mono {
            self.ping_round(now, out);
        }
    }

    /// What is done about once a second.
    fn tick(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        self.plan_tick(now);
        match self.state {
            State::PreBoot => self.try_boot(now, store, out),
            State::Waiting => self.boot_if_healthy(now, store, out),
            State::Booting { until } if now.mono >= until => {
                self.state = State::PreBoot;
                self.try_boot(now, store, out);
            }
            State::Stopping { until } if now.mono >= until => self.exit(out),
            _ => {}
        }
        self.refresh_heartbeat_peers();
        self.check_heartbeats(now, out);
        self.note_fullness(store, out);
        self.check_fullness(store, out);
        self.stop_backfill_if_full(now, store, out);
        self.recheck_room(now, store, out);
        self.measure_clients(now);
        self.scrubs.note_recovery(self.recovery.is_busy());
        self.trim_maps(out);
        self.ask_again_for_copies(now, store, out);
        self.complain_of_slow_ops(now);
        self.look_at_disk(now);
        self.ask_mon_again(now, out);
        self.log.flush(now, &self.setup, &mut self.mon, out);
    }
}

/// Whose levels count for what an OSD logs.
const DEBUG: &[&str] = &["debug_osd", "debug_filestore", "debug_bluestore", "debug_objclass"];

impl Node for Osd {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Start => self.start(now, store, out),
            Input::Message { conn, via, msg } => self.message(now, store, conn, via, msg, out),
            Input::Connected { conn, via, peer, incoming } => self.connected(now, conn, via, peer, incoming, out),
            Input::Reset { conn } => self.reset(now, store, conn, out),
            Input::RemoteReset { conn } => self.remote_reset(now, store, conn, out),
            Input::Refused { via, name, addrs } => self.refused(now, via, name, &addrs, out),
            Input::Auth { conn, via, method, payload } => self.auth(conn, via, method, payload, out),
            Input::Committed(token) => self.committed(now, store, token, out),
            Input::ReadDone { token, result } => {
                self.disk_times.read_done(token, now.mono);
                if let Some(id) = self.reads.remove(&token) {
                    self.with_pg(now, store, id, out, |pg, env| pg.read_done(env, token, result));
                }
            }
            Input::Admin { id, command } => {
                let body = self.admin(now, store, &command, out);
                out.push(Output::AdminReply { id, body });
            }
            Input::Load(load) => self.scrubs.note_load(load),
            Input::Wake => self.wake(now, store, out),
            Input::Continue => self.run_pgs(now, store, out),
            Input::Shutdown => self.shutdown(now, out),
            Input::StoreFailed { why } => self.store_failed(now, &why, out),
        }
        self.run_copies(now, store, out);
        if std::mem::take(&mut self.waiting.retry) {
            self.retry_waiting(now, store, out);
        }
        self.end_overflowing(now, store, out);
        // Whatever happened, it may have freed a slot.
        self.grant_slots(now, store, out);
        self.inform_clients(store, out);
        debug_assert!(self.pg_out.is_empty(), "what a PG asked for was not performed");
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let heartbeat = match self.state {
            State::Active => Some(self.heartbeats.next_wakeup()),
            State::Waiting => Some(self.heartbeats.next_round()),
            _ => None,
        };
        [self.timers.next(), self.mon.next_wakeup(), heartbeat].into_iter().flatten().min()
    }

    fn logging(&self) -> Logging {
        self.logging
    }

    fn runnable(&self) -> bool {
        !self.run_queue.is_empty()
    }
}
