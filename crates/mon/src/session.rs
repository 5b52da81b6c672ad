//! Who is connected, and what each has subscribed to.

use std::collections::BTreeMap;

use messages::{MMonSubscribe, SubscribeItem};
use node::{ConnId, Peer};
use types::Epoch;

/// One connection and what it wants to hear.
#[derive(Debug, Clone)]
pub struct Session {
    pub peer: Peer,
    pub host: String,
    pub subs: BTreeMap<String, SubscribeItem>,
    /// The newest OSD map that was sent.
    pub osd_epoch: Epoch,
    /// What was sent last, if anything.
    pub config: Option<BTreeMap<String, String>>,
}

/// All of them, in order of their numbers.
#[derive(Debug, Default)]
pub struct Sessions(BTreeMap<ConnId, Session>);

impl Sessions {
    pub fn open(&mut self, conn: ConnId, peer: Peer) {
        let session = Session { peer, host: String::new(), subs: BTreeMap::new(), osd_epoch: 0, config: None };
        self.0.insert(conn, session);
    }

    pub fn close(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }

    pub fn get(&self, conn: ConnId) -> Option<&Session> {
        self.0.get(&conn)
    }

    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.0.get_mut(&conn)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Session)> {
        self.0.iter().map(|(conn, s)| (*conn, s))
    }

    pub fn conns(&self) -> Vec<ConnId> {
        self.0.keys().copied().collect()
    }

    /// Those who listen for `what`.
    pub fn subscribed(&self, what: &str) -> Vec<ConnId> {
        self.0.iter().filter(|(_, s)| s.subs.contains_key(what)).map(|(c, _)| *c).collect()
    }
}

impl Session {
    /// Takes a subscription; gives the names to be answered at once.
    pub fn subscribe(&mut self, m: MMonSubscribe) -> Vec<String> {
        if !m.hostname.is_empty() {
            self.host = m.hostname;
        }
        // A client that wants another level of the log does not take back the one before.
        if m.what.keys().any(|what| what.starts_with("log-")) {
            self.subs.retain(|what, _| !what.starts_with("log-") || m.what.contains_key(what));
        }
        let names = m.what.keys().cloned().collect();
        self.subs.extend(m.what);
        names
    }

    /// Whether this session wants version `newest` of `what`: from where to send it.
    pub fn wants(&self, what: &str, newest: u64) -> Option<SubscribeItem> {
        self.subs.get(what).copied().filter(|item| item.start <= newest)
    }

    /// `what` was sent up to `newest`.
    pub fn sent(&mut self, what: &str, newest: u64) {
        let Some(item) = self.subs.get_mut(what) else { return };
        if item.is_onetime() {
            self.subs.remove(what);
        } else {
            item.start = newest + 1;
        }
    }
}
