//! The PG itself, and the calls that the OSD makes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messages::Message;
use node::{ConnId, Peer, Token};
use os::{ObjectRead, ReadError};
use osdmap::OsdMap;
use types::dump::Dump;
use types::{Epoch, OsdId, SpgId, UTime};

use crate::env::Env;

/// Why a PG that the store holds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("pg {0}: reading its metadata")]
    Read(SpgId, #[source] ReadError),
    #[error("pg {0}: {1} is missing or does not decode")]
    Corrupt(SpgId, &'static str),
}

/// One placement group on one OSD.
#[derive(Debug)]
pub struct Pg {
    id: SpgId,
    map: Arc<OsdMap>,
}

/// Where a message belongs: the PG, and the map epoch that it needs. `None` if it is none of a PG's.
pub fn route(_msg: &Message) -> Option<(SpgId, Epoch)> {
    None
}

/// What to do with a peer's message for a PG that this OSD does not have.
#[derive(Debug)]
pub enum Stray {
    /// Make the PG with [`Pg::create_for_peer`] and give it the message.
    Create,
    Reply(Message),
    Ignore,
}

/// Decides on a peer's message for a PG that is not here.
pub fn stray_message(_env: &mut Env, _from: OsdId, _msg: &Message) -> Stray {
    Stray::Ignore
}

impl Pg {
    /// Makes a PG that the monitors want (`MOSDPGCreate2`), first created in epoch `created`. Stands
    /// at `env.map`, which may be later than `created`: `maps` gives the maps from there on, from
    /// which the intervals since then are found.
    pub fn create(
        id: SpgId,
        env: &mut Env,
        _created: Epoch,
        _stamp: UTime,
        _maps: &dyn Fn(Epoch) -> Option<Arc<OsdMap>>,
    ) -> Self {
        Self { id, map: env.map.clone() }
    }

    /// Makes a PG because a peer's message (see [`stray_message`]) supposes it.
    pub fn create_for_peer(id: SpgId, env: &mut Env, _msg: &Message) -> Self {
        Self { id, map: env.map.clone() }
    }

    /// The map epoch at which the stored PG stands; [`Pg::load`] wants that map.
    pub fn stored_epoch(id: SpgId, _store: &dyn ObjectRead) -> Result<Epoch, LoadError> {
        Err(LoadError::Corrupt(id, "_epoch"))
    }

    /// Takes up a PG from the store, at the map of [`Pg::stored_epoch`].
    pub fn load(id: SpgId, _env: &mut Env) -> Result<Self, LoadError> {
        Err(LoadError::Corrupt(id, "_info"))
    }

    pub fn id(&self) -> SpgId {
        self.id
    }

    pub fn map(&self) -> &Arc<OsdMap> {
        &self.map
    }

    /// Takes the next map (`env.map`, one epoch on): a new interval resets peering.
    pub fn advance_map(&mut self, _env: &mut Env) {}

    /// The last of a row of maps has been taken: acts on it.
    pub fn activate_map(&mut self, _env: &mut Env) {}

    /// `MOSDOp`, `MOSDBackoff` (acknowledgements): what clients send.
    pub fn client_message(&mut self, _env: &mut Env, _conn: ConnId, _peer: &Peer, _msg: Message) {}

    /// What other OSDs send.
    pub fn peer_message(&mut self, _env: &mut Env, _from: OsdId, _msg: Message) {}

    /// A token of a `Submit` has committed.
    pub fn committed(&mut self, _env: &mut Env, _token: Token) {}

    pub fn read_done(&mut self, _env: &mut Env, _token: Token, _result: Result<Option<Bytes>, ReadError>) {}

    /// A client's connection is gone.
    pub fn conn_reset(&mut self, _env: &mut Env, _conn: ConnId) {}

    pub fn local_reserved(&mut self, _env: &mut Env) {}

    pub fn remote_reserved(&mut self, _env: &mut Env) {}

    /// Starts at most `slots` recoveries of objects and says how many it started; each comes back
    /// as [`crate::PgOutput::RecoveryDone`].
    pub fn recover(&mut self, _env: &mut Env, _slots: u32) -> u32 {
        0
    }

    /// Timers: to be called at [`Pg::next_wakeup`] or later.
    pub fn wake(&mut self, _env: &mut Env) {}

    pub fn next_wakeup(&self) -> Option<Duration> {
        None
    }

    /// Goes on with what was put off (ops that may run again, deletion); whether there is more.
    pub fn step(&mut self, _env: &mut Env) -> bool {
        false
    }

    /// The OSDs that the PG must exchange pings with.
    pub fn heartbeat_peers(&self) -> Vec<OsdId> {
        Vec::new()
    }

    /// `pg ID query`.
    pub fn query(&self) -> Dump {
        Dump::obj()
    }

    /// What the manager is told, if this OSD is the one to tell it.
    pub fn stat(&self, _now: node::Now) -> Option<types::PgStat> {
        None
    }

    /// The last epoch in which the PG was clean in all its places (for the trimming of maps).
    pub fn last_epoch_clean(&self) -> Epoch {
        self.map.epoch
    }
}
