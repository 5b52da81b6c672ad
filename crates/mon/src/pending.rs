//! What will be proposed next: changes that gather while the last proposal is being written.

use bytes::Bytes;
use denc::{Encode, to_bytes};
use messages::{ClogEntry, ClogLevel, Message};
use node::ConnId;

use crate::change::{Change, Space};
use crate::forward::JobId;
use crate::osd_service::PendingMap;
use crate::peers::Answer;

/// Who is to be told once the changes are committed.
#[derive(Debug)]
pub enum Waiter {
    Message { conn: ConnId, msg: Message },
    Job(JobId, Answer),
}

/// The next proposal.
#[derive(Debug, Default)]
pub struct Pending {
    pub changes: Vec<Change>,
    /// Changes of the OSD map, if there are any.
    pub map: Option<PendingMap>,
    /// Lines for the cluster log.
    pub log: Vec<ClogEntry>,
    pub waiters: Vec<Waiter>,
}

/// What was pending at some moment.
#[derive(Debug)]
pub struct Mark {
    changes: usize,
    log: usize,
    map: Option<PendingMap>,
}

impl Pending {
    pub fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), log: self.log.len(), map: self.map.clone() }
    }

    /// Takes back what was added since.
    pub fn back_to(&mut self, mark: Mark) {
        self.changes.truncate(mark.changes);
        self.log.truncate(mark.log);
        self.map = mark.map;
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.map.as_ref().is_none_or(PendingMap::is_empty) && self.log.is_empty()
    }

    pub fn put(&mut self, space: Space, key: impl Into<String>, value: impl Into<Bytes>) {
        self.changes.push(Change::Put { space, key: key.into(), value: value.into() });
    }

    pub fn put_value(&mut self, space: Space, key: impl Into<String>, value: &impl Encode) {
        self.put(space, key, to_bytes(value, types::features::ALL));
    }

    pub fn rm(&mut self, space: Space, key: impl Into<String>) {
        self.changes.push(Change::Rm { space, key: key.into() });
    }

    /// What a key will hold: the last change to it, if one is pending.
    pub fn get(&self, space: Space, key: &str) -> Option<Option<&Bytes>> {
        self.changes.iter().rev().find_map(|c| match c {
            Change::Put { space: s, key: k, value } if *s == space && k == key => Some(Some(value)),
            Change::Rm { space: s, key: k } if *s == space && k == key => Some(None),
            _ => None,
        })
    }

    /// A line of the monitor's own for the cluster log; who and when is filled in when it is proposed.
    pub fn clog(&mut self, level: ClogLevel, msg: impl Into<String>) {
        self.log.push(ClogEntry { level, msg: msg.into(), channel: "cluster".to_owned(), ..ClogEntry::default() });
    }
}
