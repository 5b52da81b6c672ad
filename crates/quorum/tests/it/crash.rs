//! What was given out as committed is there after a crash at every step.

use bytes::Bytes;
use os::{Coll, MemStore, Transaction, TxOp};
use quorum::{Entry, Index, Output, Payload, Raft, Restored, Setup, Timing, disk};

/// A run: every transaction in order, and after how many of them each entry was given out.
#[derive(Default)]
struct Run {
    txns: Vec<Transaction>,
    given: Vec<(usize, Entry)>,
    applied: Index,
}

impl Run {
    fn new() -> Self {
        let mut first = Transaction::new();
        first.push(TxOp::MkColl { coll: Coll::Meta, bits: 0 });
        Self { txns: vec![first], ..Self::default() }
    }

    /// Performs what the log asks; every write is durable at once.
    fn drive(&mut self, log: &mut Raft) {
        while let Some(output) = log.poll() {
            match output {
                Output::Persist(p) => {
                    self.txns.push(disk::transaction(&p));
                    log.persisted(p.seq);
                }
                Output::Committed(entry) => {
                    self.applied = entry.index;
                    self.given.push((self.txns.len(), entry));
                }
                _ => {}
            }
        }
    }
}

/// A member that is the only one.
fn alone(mut restored: Restored, applied: Index) -> Raft {
    restored.hard.snapshot.members = [7].into_iter().collect();
    let timing = Timing { heartbeat: 3, election: 10, spread: 10 };
    Raft::new(Setup { me: 7, timing, reticence: 0, seed: 1 }, restored, applied)
}

fn store_after(txns: &[Transaction]) -> MemStore {
    let mut store = MemStore::new();
    for txn in txns {
        store.apply(txn).unwrap();
    }
    store
}

fn proposals(run: &mut Run, log: &mut Raft, n: u8) {
    for i in 0..n {
        log.propose(Bytes::from(vec![i])).unwrap();
        run.drive(log);
        if i % 7 == 6 {
            log.compact(run.applied - 3);
            run.drive(log);
        }
    }
}

#[test]
fn entries_given_out_survive_a_crash_after_every_write() {
    let mut run = Run::new();
    let mut log = alone(disk::load(&store_after(&run.txns)).unwrap(), 0);
    log.campaign();
    run.drive(&mut log);
    proposals(&mut run, &mut log, 30);
    for crash in 1..=run.txns.len() {
        let restored = disk::load(&store_after(&run.txns[..crash])).unwrap();
        let cut = restored.hard.snapshot.index;
        for (_, entry) in run.given.iter().filter(|(at, e)| *at <= crash && e.index > cut) {
            assert!(restored.entries.contains(entry), "entry {} lost by a crash after write {crash}", entry.index);
        }
        // It leads again, in a later term, and goes on where the log ends.
        let (last, term) = (restored.entries.last().map_or(cut, |e| e.index), restored.hard.term);
        let mut again = Run { txns: run.txns[..crash].to_vec(), ..Run::default() };
        let mut log = alone(restored, cut);
        log.campaign();
        again.drive(&mut log);
        assert!(log.is_leading() && log.term() > term);
        assert_eq!(log.propose(Bytes::from_static(b"new")), Some(last + 2), "one empty entry opens each term");
        again.drive(&mut log);
        let indexes: Vec<Index> = again.given.iter().map(|(_, e)| e.index).collect();
        assert_eq!(indexes, (cut + 1..=last + 2).collect::<Vec<_>>(), "given out in order, without gaps");
    }
}

#[test]
fn nothing_is_committed_before_it_is_persisted() {
    let mut log = alone(Restored::default(), 0);
    log.campaign();
    let Some(Output::Persist(vote)) = log.poll() else { panic!("the vote is written first") };
    assert_eq!((log.poll(), log.propose(Bytes::new())), (None, None));
    log.persisted(vote.seq);
    let Some(Output::Persist(opening)) = log.poll() else { panic!("then the term's empty entry") };
    assert_eq!((log.poll(), log.is_leading()), (None, false));
    log.persisted(opening.seq);
    assert!(matches!(log.poll(), Some(Output::Committed(e)) if e.payload == Payload::Opening));
    assert_eq!(log.poll(), Some(Output::Leading { term: 1 }));
    log.propose(Bytes::from_static(b"a"));
    log.propose(Bytes::from_static(b"b"));
    let (Some(Output::Persist(a)), Some(Output::Persist(b))) = (log.poll(), log.poll()) else { panic!("two writes") };
    assert_eq!(log.poll(), None);
    log.persisted(b.seq);
    let given: Vec<_> = std::iter::from_fn(|| log.poll()).collect();
    assert_eq!(given.len(), 2, "a write that is durable makes those before it so ({})", a.seq);
}

#[test]
fn a_log_with_a_gap_or_garbage_is_refused() {
    let mut run = Run::new();
    let mut log = alone(Restored::default(), 0);
    log.campaign();
    run.drive(&mut log);
    proposals(&mut run, &mut log, 3);
    let mut store = store_after(&run.txns);
    let mut txn = Transaction::new();
    txn.push(TxOp::OmapRm { coll: Coll::Meta, oid: disk::object(), keys: vec!["e0000000000000002".into()] });
    store.apply(&txn).unwrap();
    assert_eq!(disk::load(&store), Err(disk::LoadError::Gap { last: 1, found: 3 }));
    let mut txn = Transaction::new();
    let keys = [("hard".into(), Bytes::from_static(b"?"))].into();
    txn.push(TxOp::OmapSet { coll: Coll::Meta, oid: disk::object(), keys });
    store.apply(&txn).unwrap();
    assert!(matches!(disk::load(&store), Err(disk::LoadError::Decode { .. })));
}
