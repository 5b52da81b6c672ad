//! Sends that wait for a commit.
//!
//! Invariants:
//! - A send leaves only when its token has committed.
//! - Of two that wait for one destination, the first given leaves first.

use std::collections::VecDeque;

use foldhash::{HashMap, HashSet};
use node::{ConnId, Token};

/// What was submitted and is not yet durable, and the sends that wait for it.
#[derive(Debug)]
pub(crate) struct Held<M> {
    /// In the order of submission, which is the order of commits.
    pending: VecDeque<Token>,
    uncommitted: HashSet<Token>,
    queues: HashMap<ConnId, VecDeque<(Token, M)>>,
    /// Who waits for a token at the head of its queue.
    waiting: HashMap<Token, Vec<ConnId>>,
}

impl<M> Default for Held<M> {
    fn default() -> Self {
        Self {
            pending: VecDeque::new(),
            uncommitted: HashSet::default(),
            queues: HashMap::default(),
            waiting: HashMap::default(),
        }
    }
}

impl<M> Held<M> {
    pub fn submitted(&mut self, token: Token) {
        if self.uncommitted.insert(token) {
            self.pending.push_back(token);
        }
    }

    pub fn all_committed(&self) -> bool {
        self.pending.is_empty()
    }

    /// Gives the message back if it may leave now.
    pub fn offer(&mut self, conn: ConnId, after: Option<Token>, message: M) -> Option<M> {
        let Some(token) = after else { return Some(message) };
        let queue = self.queues.get_mut(&conn);
        if queue.is_none() && !self.uncommitted.contains(&token) {
            return Some(message);
        }
        match queue {
            Some(queue) => queue.push_back((token, message)),
            None => {
                self.queues.insert(conn, VecDeque::from([(token, message)]));
                self.waiting.entry(token).or_default().push(conn);
            }
        }
        None
    }

    /// This token and all before it are durable: hands out the tokens and what may leave.
    pub fn committed(&mut self, upto: Token, mut token: impl FnMut(Token), mut send: impl FnMut(ConnId, M)) {
        if !self.uncommitted.contains(&upto) {
            return;
        }
        while let Some(done) = self.pending.pop_front() {
            self.uncommitted.remove(&done);
            token(done);
            for conn in self.waiting.remove(&done).unwrap_or_default() {
                self.release(conn, &mut send);
            }
            if done == upto {
                return;
            }
        }
    }

    fn release(&mut self, conn: ConnId, send: &mut impl FnMut(ConnId, M)) {
        let Some(queue) = self.queues.get_mut(&conn) else { return };
        while let Some((token, _)) = queue.front() {
            if self.uncommitted.contains(token) {
                self.waiting.entry(*token).or_default().push(conn);
                return;
            }
            if let Some((_, message)) = queue.pop_front() {
                send(conn, message);
            }
        }
        self.queues.remove(&conn);
    }

    /// A connection is gone, and what waits for it.
    pub fn forget(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn commit(h: &mut Held<u32>, token: u64) -> Vec<(ConnId, u32)> {
        let mut sent = Vec::new();
        h.committed(Token(token), |_| {}, |conn, m| sent.push((conn, m)));
        sent
    }

    #[test]
    fn a_send_leaves_with_its_commit_and_in_the_order_given() {
        let mut h = Held::default();
        h.submitted(Token(1));
        h.submitted(Token(2));
        assert_eq!(h.offer(A, Some(Token(2)), 10), None);
        // Waits for less, but behind the first.
        assert_eq!(h.offer(A, Some(Token(1)), 11), None);
        assert_eq!(h.offer(B, Some(Token(1)), 20), None);
        // One that waits for nothing passes.
        assert_eq!(h.offer(A, None, 12), Some(12));
        assert_eq!(commit(&mut h, 1), [(B, 20)]);
        assert_eq!(commit(&mut h, 2), [(A, 10), (A, 11)]);
        assert_eq!(h.offer(A, Some(Token(2)), 13), Some(13));
        assert!(h.all_committed());
    }

    #[test]
    fn one_report_commits_all_that_was_submitted_before() {
        let mut h = Held::default();
        (1..=3).for_each(|t| h.submitted(Token(t)));
        h.offer(A, Some(Token(1)), 1);
        h.offer(B, Some(Token(3)), 3);
        let mut tokens = Vec::new();
        let mut sent = Vec::new();
        h.committed(Token(3), |t| tokens.push(t.0), |conn, m| sent.push((conn, m)));
        assert_eq!(tokens, [1, 2, 3]);
        assert_eq!(sent, [(A, 1), (B, 3)]);
    }

    #[test]
    fn what_waits_for_a_lost_connection_is_dropped() {
        let mut h = Held::default();
        h.submitted(Token(1));
        h.offer(A, Some(Token(1)), 1);
        h.forget(A);
        assert_eq!(commit(&mut h, 1), []);
    }
}
