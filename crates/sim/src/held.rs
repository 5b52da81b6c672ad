//! Sends that wait for a commit.
//!
//! Invariants (crate `node`):
//! - A send leaves only when its token has committed.
//! - Of two that wait for one destination, the first given leaves first.
//! - Commits come in the order of submission.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use messages::Message;
use node::{ConnId, Token};

#[derive(Debug, Default)]
pub(crate) struct Held {
    pending: VecDeque<Token>,
    uncommitted: BTreeSet<Token>,
    committed: BTreeSet<Token>,
    queues: BTreeMap<ConnId, VecDeque<(Token, Message)>>,
}

impl Held {
    pub fn submitted(&mut self, token: Token) {
        assert!(!self.committed.contains(&token), "{token:?} names two transactions");
        assert!(self.uncommitted.insert(token), "{token:?} names two transactions");
        self.pending.push_back(token);
    }

    /// Gives the message back if it may leave now.
    pub fn offer(&mut self, conn: ConnId, after: Option<Token>, msg: Message) -> Option<Message> {
        let Some(token) = after else { return Some(msg) };
        let waits = self.uncommitted.contains(&token);
        assert!(waits || self.committed.contains(&token), "a send waits for {token:?}, which nobody submitted");
        match self.queues.get_mut(&conn) {
            Some(queue) => queue.push_back((token, msg)),
            None if waits => drop(self.queues.insert(conn, VecDeque::from([(token, msg)]))),
            None => return Some(msg),
        }
        None
    }

    /// The store says that this is durable: what may leave now.
    pub fn committed(&mut self, token: Token) -> Vec<(ConnId, Message)> {
        assert_eq!(self.pending.pop_front(), Some(token), "the store commits out of order");
        self.uncommitted.remove(&token);
        self.committed.insert(token);
        let mut sends = Vec::new();
        let uncommitted = &self.uncommitted;
        self.queues.retain(|conn, queue| {
            while let Some((_, msg)) = queue.pop_front_if(|(token, _)| !uncommitted.contains(token)) {
                sends.push((*conn, msg));
            }
            !queue.is_empty()
        });
        sends
    }

    /// A connection is gone, and what waits for it.
    pub fn forget(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
    }
}
