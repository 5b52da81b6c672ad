//! The way into the cluster and out of it.
//!
//! A store is opened, the monitors are asked for maps, and once our map is the newest there is
//! `MOSDBoot` is sent, again in each new session, until a map shows us up at our addresses. If a later
//! map shows us down though we live, we say so and boot again.

use std::time::Duration;

use bytes::Bytes;
use denc::Decoder;
use messages::{MOSDBoot, Paxos};
use node::{AuthReply, ConnId, Endpoint, Level, Now, Output, Peer};
use os::ObjectRead;
use types::options::Source;
use types::{EntityAddrVec, EntityName, features};

use crate::maps::Maps;
use crate::{Conn, Osd, State, Timer};

/// How long a polite stop waits for the monitors' acknowledgement (Ceph: `osd_mon_shutdown_timeout`).
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a map that shows us up may take before we ask again: a leader that fails forgets who asked.
const BOOT_PATIENCE: Duration = Duration::from_secs(10);
const CEPH_AUTH_NONE: u32 = 1;
const AUTH_MODE_AUTHORIZER: u8 = 1;
const CON_MODE_CRC: u32 = 1;

impl Osd {
    pub(crate) fn start(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let me = self.setup.whoami;
        match Maps::load(store) {
            Err(e) => {
                return self.give_up(
                    format!("osd.{me}: cannot use its store: {e} (`spirula store repair` says what helps)"),
                    out,
                );
            }
            Ok(None) => {
                let (maps, txn) = Maps::mkfs(me, self.setup.fsid, self.setup.osd_fsid);
                self.submit_own(txn, out);
                self.maps = Some(maps);
            }
            Ok(Some(maps)) => {
                let sb = &maps.superblock;
                if (sb.whoami, sb.cluster_fsid, sb.osd_fsid) != (me, self.setup.fsid, self.setup.osd_fsid) {
                    let text = format!(
                        "osd.{me}: the store belongs to osd.{} ({}) of cluster {}: nothing was changed; give this OSD \
                         its own folder",
                        sb.whoami, sb.osd_fsid, sb.cluster_fsid
                    );
                    return self.give_up(text, out);
                }
                self.maps = Some(maps);
                if let Err(text) = self.load_pgs(now, store, out) {
                    return self.give_up(format!("osd.{me}: {text}"), out);
                }
            }
        }
        self.mon.set_fsid(self.setup.fsid);
        self.mon.subscribe("osdmap", u64::from(self.epoch()) + 1, false);
        self.mon.subscribe("monmap", 0, false);
        self.mon.subscribe("mgrmap", 0, false);
        self.mon.subscribe("config", 0, false);
        self.mon.subscribe("osd_pg_creates", 0, false);
        self.mon.start(now, out);
        self.plan_tick(now);
    }

    /// Who is allowed to talk to us: without keys, whoever says who it is.
    pub(crate) fn auth(&mut self, conn: ConnId, _via: Endpoint, method: u32, payload: Bytes, out: &mut Vec<Output>) {
        let reply = match authorizer(method, payload) {
            Some((name, entity, global_id)) => {
                AuthReply::Done { name, entity, global_id, con_mode: CON_MODE_CRC, payload: Bytes::new() }
            }
            None => AuthReply::Bad {
                errno: -types::errno::EOPNOTSUPP,
                allowed_methods: vec![CEPH_AUTH_NONE],
                allowed_modes: vec![CON_MODE_CRC],
            },
        };
        out.push(Output::AuthReply { conn, reply });
    }

    pub(crate) fn connected(
        &mut self,
        now: Now,
        conn: ConnId,
        via: Endpoint,
        peer: Peer,
        incoming: bool,
        out: &mut Vec<Output>,
    ) {
        if !incoming && self.mon.connected(conn, &peer, out) {
            // What the last session was told may not have reached anyone.
            self.heartbeats.report_again();
            self.up_thru_asked_again(out);
            self.send_pg_temp(out);
            self.send_merges_again(out);
            self.log.resend();
            if matches!(self.state, State::Booting { .. }) {
                self.state = State::PreBoot;
            }
            self.timers.set(Timer::Tick, now.mono);
        } else if !incoming && peer.name.kind == types::ENTITY_TYPE_MGR && !self.mgr_connected(conn, &peer) {
            return out.push(Output::Close { conn });
        }
        self.conns.insert(conn, Conn { peer: peer.into(), via, sent_epoch: 0, last_op: None });
    }

    pub(crate) fn reset(&mut self, now: Now, store: &dyn ObjectRead, conn: ConnId, out: &mut Vec<Output>) {
        if !self.mon.reset(now, conn, out) && !self.mgr_reset(now, conn) {
            self.waiting.forget(conn);
            let lost = self.conns.remove(&conn);
            if let Some(c) = lost.as_ref().filter(|c| matches!(c.via, Endpoint::HbBack | Endpoint::HbFront)) {
                self.heartbeat_reset(now, c.peer.name, out);
            }
            if let Some(c) = lost.filter(|c| c.peer.name.is_client() || c.via == Endpoint::Cluster) {
                self.session_lost(now, store, conn, c.peer.name, out);
            }
        }
        self.conns.remove(&conn);
    }

    /// The peer begins the session anew: it does not know what we sent, and what it sent is gone.
    pub(crate) fn remote_reset(&mut self, now: Now, store: &dyn ObjectRead, conn: ConnId, out: &mut Vec<Output>) {
        let Some(c) = self.conns.get_mut(&conn).filter(|c| c.via == Endpoint::Cluster) else { return };
        c.sent_epoch = 0;
        let peer = c.peer.name;
        self.session_lost(now, store, conn, peer, out);
    }

    pub(crate) fn refused(
        &mut self,
        now: Now,
        via: Endpoint,
        name: EntityName,
        addrs: &EntityAddrVec,
        out: &mut Vec<Output>,
    ) {
        match via {
            Endpoint::Public if name.is_mon() => self.mon.refused(now, name, out),
            Endpoint::Public | Endpoint::Mgr => self.mgr_refused(now, name),
            Endpoint::HbBack | Endpoint::HbFront | Endpoint::Cluster => self.peer_refused(now, name, addrs, out),
        }
    }

    /// If our map is the newest and does not have us up: asks to be.
    pub(crate) fn try_boot(&mut self, now: Now, _store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        let me = self.setup.whoami;
        if self.state != State::PreBoot
            || self.mon.conn().is_none()
            || map.epoch == 0
            || map.epoch < self.waiting.newest_cluster_map
        {
            return;
        }
        if !map.exists(me) || map.is_destroyed(me) {
            return self.log(
                Level::Warn,
                format!("osd.{me} is not in the map: register it with `ceph osd new {} {me}`", self.setup.osd_fsid),
                out,
            );
        }
        if map.test_flag(osdmap::flag::NOUP) || map.state(me) & osdmap::state::NOUP != 0 {
            return;
        }
        self.state = State::Booting { until: now.mono + BOOT_PATIENCE };
        let l = &self.setup.listening;
        let boot = MOSDBoot {
            paxos: Paxos { version: map.epoch.into(), ..Paxos::default() },
            sb: maps.superblock.clone(),
            hb_back_addrs: l.hb_back.into(),
            cluster_addrs: l.cluster.into(),
            boot_epoch: map.epoch,
            hb_front_addrs: l.hb_front.into(),
            metadata: self.metadata(),
            osd_features: features::ALL,
        };
        self.mon.send(boot, out);
        self.timers.set(Timer::Tick, now.mono + Duration::from_secs(1));
    }

    /// Looks at what the newest map says of us.
    pub(crate) fn check_standing(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let (me, map) = (self.setup.whoami, maps.current().clone());
        let ours = map.is_up(me) && map.addrs(me).0.contains(&self.setup.listening.public);
        match self.state {
            State::PreBoot | State::Booting { .. } if ours => {
                self.state = State::Active;
                self.mark_mounted(map.up_from(me), out);
                self.heartbeat_peers_changed = true;
                self.timers.set(Timer::Beacon, now.mono);
                self.log(Level::Info, format!("osd.{me} is up since epoch {}", map.up_from(me)), out);
                self.activate_all(now, store, out);
            }
            State::PreBoot => self.try_boot(now, store, out),
            State::Booting { .. } if map.test_flag(osdmap::flag::NOUP) => self.state = State::PreBoot,
            State::Booting { .. } => {}
            State::Active if !ours => {
                let epoch = map.epoch;
                if map.exists(me) {
                    self.log.warn(now, format!("Map e{epoch} wrongly marked me down at e{}", map.info(me).down_at));
                }
                self.heartbeats.forget();
                self.close_sessions(&map, out);
                if map.state(me) & osdmap::state::STOP != 0 {
                    self.log(Level::Info, format!("osd.{me} was told to stop (`ceph osd stop`)"), out);
                    return out.push(Output::Exit { code: 0 });
                }
                if let Some(why) = self.markdowns.note(now.mono, &self.cfg) {
                    return self.stop_flapping(now, why, out);
                }
                self.state = State::Waiting;
                self.heartbeat_peers_changed = true;
                self.refresh_heartbeat_peers();
                self.heartbeats.round_now();
                self.ping_round(now, out);
                self.boot_if_healthy(now, store, out);
            }
            State::Active | State::Waiting => {}
            State::Stopping { .. } if !map.is_up(me) => self.exit(out),
            State::Stopping { .. } => {}
        }
    }

    /// As in Ceph the exit is a clean one: what restarts daemons that fail must not restart this one.
    fn stop_flapping(&mut self, now: Now, why: String, out: &mut Vec<Output>) {
        let text = format!("osd.{}: {why}", self.setup.whoami);
        self.log.entry(now, Level::Error, text.clone());
        self.log.flush(now, &self.setup, &mut self.mon, out);
        self.log(Level::Error, text, out);
        out.push(Output::Exit { code: 0 });
    }

    /// One that was marked down though it lives asks to be up again only when enough of its peers answer it:
    /// else it is itself cut off, and would be marked down once more (Ceph: `OSD::start_waiting_for_healthy`).
    pub(crate) fn boot_if_healthy(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        if self.state != State::Waiting {
            return;
        }
        if let Err((healthy, all)) = self.heartbeats.healthy(now)
            && self.markdowns.any(now.mono, &self.cfg)
        {
            let text = format!("osd.{}: waits to be up: {healthy} of {all} peers answer", self.setup.whoami);
            return self.log(Level::Debug, text, out);
        }
        self.heartbeats.forget();
        self.state = State::PreBoot;
        self.try_boot(now, store, out);
    }

    fn mark_mounted(&mut self, up_from: types::Epoch, out: &mut Vec<Output>) {
        let Some(maps) = &mut self.maps else { return };
        if maps.superblock.mounted >= up_from {
            return;
        }
        maps.superblock.mounted = up_from;
        maps.superblock.clean_thru = up_from;
        let mut txn = os::Transaction::new();
        maps.write_superblock(&mut txn);
        self.submit_own(txn, out);
    }

    /// `MConfig`: what the monitors keep for us replaces what they kept before.
    pub(crate) fn apply_config(
        &mut self,
        now: Now,
        values: &std::collections::BTreeMap<String, String>,
        out: &mut Vec<Output>,
    ) {
        let refused = self.cfg.replace(Source::Mon, values.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        for e in refused {
            self.log(Level::Warn, format!("a configured value is not used: {e}"), out);
        }
        self.configure(now);
    }
}

/// What a client without keys says of itself (Ceph: `AuthNoneAuthorizer`).
fn authorizer(method: u32, payload: Bytes) -> Option<(EntityName, String, u64)> {
    if method != CEPH_AUTH_NONE {
        return None;
    }
    let mut d = Decoder::new(payload);
    // The struct's version, which is also the mode that msgr2 wants to see first.
    if d.u8().ok()? != AUTH_MODE_AUTHORIZER {
        return None;
    }
    let kind = u8::try_from(d.u32().ok()?).ok()?;
    let id = d.string().ok()?;
    let global_id = d.u64().ok()?;
    let num = if kind == types::ENTITY_TYPE_CLIENT || kind == types::ENTITY_TYPE_MGR {
        i64::try_from(global_id).ok()?
    } else {
        id.parse().ok()?
    };
    let name = EntityName { kind, num };
    Some((name, format!("{}.{id}", name.kind_str()), global_id))
}
