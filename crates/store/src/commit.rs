//! Making submitted transactions durable, and checkpoints.
//!
//! The order that the format's crash argument rests on:
//!
//! ```text
//! commit      large data → sync block → log record → sync log → report
//! settling    small data to its place, some while after its log record
//! checkpoint  all its transactions committed and settled → sync block → rows and mark, as one → free blocks → trim log
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::BytesMut;

use crate::data::{Data, Seq};
use crate::device::BlockDevice;
use crate::onode::BLOCK;
use crate::overlay::Overlay;
use crate::state::Shared;
use crate::wal::{LogFile, Piece, Record, Wal};

/// Bytes of records that go into one batch, unless a single one is larger.
const BATCH_MAX: usize = 4 << 20;

/// So many times what is worth a write may wait to be settled, before the commit thread waits for that.
const UNSETTLED_MAX: usize = 8;

/// Bytes of changes that may wait in memory for checkpoints which can be made.
const FROZEN_MAX: usize = 128 << 20;

/// A transaction on its way.
#[derive(Debug)]
pub struct Queued {
    pub token: u64,
    pub record: Record,
    /// Where its large data lies, …
    pub direct: Vec<u32>,
    /// … which is there once all data before this was written.
    pub data_end: Seq,
}

#[derive(Debug, Default)]
pub struct Queue {
    items: VecDeque<Queued>,
    /// How many of them may be committed.
    ready: usize,
    /// The commit thread waits to be notified.
    asleep: bool,
    stopping: bool,
    /// Nothing more will be committed.
    ended: bool,
    /// The last transaction that is committed. What of its data is not at its place is among the unsettled.
    committed_txn: u64,
}

/// Small data that is in the log, and not yet at its place.
///
/// It waits for more: blocks of one commit after the other lie in a row, and one large write costs a third of many
/// small ones. Reads find it in `Shared::pending`; after a crash, replay brings it to its place.
#[derive(Debug, Default)]
struct Unsettled {
    pieces: Vec<Piece>,
    bytes: usize,
}

#[derive(Debug)]
pub struct Committer {
    pub shared: Arc<Shared>,
    queue: Mutex<Queue>,
    /// Something was queued, or the store stops.
    queued: Condvar,
    data: Data,
    wal: Mutex<Wal>,
    log_file: Arc<LogFile>,
    unsettled: Mutex<Unsettled>,
    /// Held while unsettled pieces are written, so that who has it and finds none knows that all are. Taken before
    /// `unsettled`. What is in it is used again.
    settling: Mutex<BytesMut>,
    /// An overlay was frozen, committed or checkpointed, or the store stops.
    moved: Condvar,
    /// How often, so that no move is missed between looking and waiting.
    moves: Mutex<u64>,
}

/// A batch that is durable.
#[derive(Debug, Default)]
pub struct Committed {
    pub tokens: Vec<u64>,
}

/// Writes pieces, sorted by their places, those that lie in a row at once.
fn write_small(device: &dyn BlockDevice, pieces: &[Piece], buf: &mut BytesMut) -> std::io::Result<()> {
    for row in pieces.chunk_by(|a, b| a.phys + a.blocks == b.phys) {
        if let [piece] = row {
            piece.write_to(device)?;
            continue;
        }
        buf.clear();
        for piece in row {
            let end = buf.len() + piece.blocks as usize * BLOCK as usize;
            buf.extend_from_slice(&piece.data);
            buf.resize(end, 0);
        }
        device.write_at(u64::from(row[0].phys) * BLOCK, buf)?;
    }
    Ok(())
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|p| p.into_inner())
}

impl Committer {
    pub fn new(shared: Arc<Shared>, wal: Wal) -> Self {
        let committed_txn = wal.next_txn() - 1;
        Self {
            shared,
            queue: Mutex::new(Queue { committed_txn, ..Queue::default() }),
            queued: Condvar::new(),
            data: Data::default(),
            log_file: wal.file(),
            wal: Mutex::new(wal),
            unsettled: Mutex::default(),
            settling: Mutex::default(),
            moved: Condvar::new(),
            moves: Mutex::new(0),
        }
    }

    /// Called in the order of transaction numbers. It is committed only after the next [`Self::kick`].
    pub fn enqueue(&self, token: u64, record: Record, direct: Vec<Piece>) {
        let places = direct.iter().map(|p| p.phys).collect();
        let data_end = self.data.put(direct);
        locked(&self.queue).items.push_back(Queued { token, record, direct: places, data_end });
    }

    /// What was queued may be committed, as one group if it is not too much.
    pub fn kick(&self) {
        let mut queue = locked(&self.queue);
        queue.ready = queue.items.len();
        // To notify is a system call.
        let wake = queue.ready > 0 && std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.queued.notify_one();
        }
    }

    pub fn fail(&self, what: &str, e: impl std::fmt::Display) -> String {
        let why = format!("{}: {what}: {e}", self.shared.disk);
        let _ = self.shared.failed.set(why.clone());
        self.data.fail();
        self.notify_moved();
        why
    }

    fn data_failed(&self, e: Option<std::io::Error>) -> String {
        match (e, self.shared.failed.get()) {
            (None, Some(why)) => why.clone(),
            (e, _) => self.fail("data cannot be written", e.unwrap_or_else(|| std::io::Error::other("unknown"))),
        }
    }

    fn failed(&self) -> bool {
        self.shared.failed.get().is_some()
    }

    fn notify_moved(&self) {
        *locked(&self.moves) += 1;
        self.moved.notify_all();
    }

    fn moves(&self) -> u64 {
        *locked(&self.moves)
    }

    /// Waits for a move after the `seen`th, but not for ever.
    fn wait_for_move(&self, seen: u64) {
        let moves = locked(&self.moves);
        let _ = self.moved.wait_timeout_while(moves, Duration::from_secs(1), |now| *now == seen);
    }

    pub fn stop(&self) {
        {
            let mut queue = locked(&self.queue);
            queue.stopping = true;
            queue.ready = queue.items.len();
        }
        self.data.stop();
        self.queued.notify_all();
        self.notify_moved();
    }

    fn ended(&self) -> bool {
        locked(&self.queue).ended
    }

    /// The next batch: what was queued, up to a bound.
    fn take(&self, queue: &mut Queue) -> Vec<Queued> {
        let max = BATCH_MAX.min(self.shared.record_max());
        let mut bytes = 0;
        let mut batch = Vec::new();
        while let Some(item) = queue.items.front().filter(|_| batch.len() < queue.ready) {
            bytes += item.record.len();
            if !batch.is_empty() && bytes > max {
                break;
            }
            batch.extend(queue.items.pop_front());
        }
        queue.ready -= batch.len();
        batch
    }

    /// Makes a batch durable; `report` is told as soon as it is. Gives how many bytes are unsettled now.
    fn commit(&self, batch: Vec<Queued>, report: &mut dyn FnMut(Committed)) -> Result<usize, String> {
        if batch.iter().any(|q| !q.direct.is_empty()) {
            let block = &*self.shared.devices.block;
            let end = batch.last().map_or(0, |q| q.data_end);
            self.data.write_before(end, block).map_err(|e| self.data_failed(e))?;
            block.sync().map_err(|e| self.fail("data cannot be synced", e))?;
            self.arrived(batch.iter().flat_map(|q| q.direct.iter().copied()));
        }
        let last_txn = {
            let mut wal = locked(&self.wal);
            let records: Vec<_> = batch.iter().map(|q| &q.record).collect();
            wal.append(&records).map_err(|e| self.fail("the log cannot be written", e))?;
            wal.next_txn() - 1
        };
        self.shared.devices.wal.sync().map_err(|e| self.fail("the log cannot be synced", e))?;
        report(Committed { tokens: batch.iter().map(|q| q.token).collect() });
        let bytes = {
            let mut unsettled = locked(&self.unsettled);
            for piece in batch.into_iter().flat_map(|q| q.record.pieces) {
                unsettled.bytes += piece.blocks as usize * BLOCK as usize;
                unsettled.pieces.push(piece);
            }
            unsettled.bytes
        };
        locked(&self.queue).committed_txn = last_txn;
        Ok(bytes)
    }

    /// Brings what is committed to its place.
    fn settle(&self) -> Result<(), String> {
        let mut buf = locked(&self.settling);
        let Unsettled { mut pieces, .. } = std::mem::take(&mut *locked(&self.unsettled));
        pieces.sort_unstable_by_key(|p| p.phys);
        let written = write_small(&*self.shared.devices.block, &pieces, &mut buf);
        written.map_err(|e| self.fail("data cannot be written", e))?;
        self.arrived(pieces.into_iter().map(|p| p.phys));
        if buf.capacity() > 2 * BATCH_MAX {
            *buf = BytesMut::new();
        }
        Ok(())
    }

    /// Whether so much is worth a write.
    fn is_worth_settling(&self, bytes: usize) -> bool {
        bytes >= self.shared.options.unsettled_bytes
    }

    /// These pieces are where reads will find them.
    fn arrived(&self, pieces: impl Iterator<Item = u32>) {
        let mut pending = self.shared.lock_pending();
        pieces.for_each(|phys| drop(pending.remove(&phys)));
    }

    fn has_room(&self, batch: &[Queued]) -> bool {
        locked(&self.wal).has_room(batch.iter().map(|q| q.record.len()).sum())
    }

    fn oldest_frozen(&self) -> Option<Arc<Overlay>> {
        self.shared.read_state().layers.frozen.front().cloned()
    }

    /// Checkpoints the oldest frozen overlay. `false` if there is none that could be.
    fn checkpoint(&self) -> Result<bool, String> {
        let Some(overlay) = self.oldest_frozen() else { return Ok(false) };
        if locked(&self.queue).committed_txn < overlay.last_txn {
            return Ok(false);
        }
        self.settle()?;
        self.shared.devices.block.sync().map_err(|e| self.fail("data cannot be synced", e))?;
        let mark = locked(&self.wal).mark_after(overlay.last_txn, overlay.next_id);
        let base = self.shared.read_state().layers.base.clone();
        base.apply(&overlay, mark).map_err(|e| self.fail("a checkpoint failed", e))?;
        {
            let mut state = self.shared.write_state();
            base.refresh().map_err(|e| self.fail("a checkpoint cannot be read", e))?;
            state.layers.frozen.pop_front();
            state.layers.base_ids = overlay.next_id;
            for &run in &overlay.freed {
                state.alloc.free(run);
            }
            state.quarantined -= overlay.freed.iter().map(|(_, n)| u64::from(*n)).sum::<u64>();
        }
        locked(&self.wal).trim(mark);
        self.notify_moved();
        Ok(true)
    }

    // Without threads.

    /// Commits everything queued, and makes those checkpoints that are due.
    pub fn step(&self) -> Result<Committed, String> {
        let mut done = Committed::default();
        self.kick();
        loop {
            if let Some(why) = self.shared.failed.get() {
                return Err(why.clone());
            }
            let batch = self.take(&mut locked(&self.queue));
            if batch.is_empty() {
                return Ok(done);
            }
            while !self.has_room(&batch) {
                if !self.checkpoint()? {
                    return Err(self.fail("the log is full", "nothing in it can be checkpointed"));
                }
            }
            let unsettled = self.commit(batch, &mut |c| done.tokens.extend(c.tokens))?;
            if self.is_worth_settling(unsettled) {
                self.settle()?;
            }
            while self.checkpoint()? {}
        }
    }

    /// Checkpoints everything. Nothing may be queued.
    pub fn flush(&self) -> Result<(), String> {
        self.shared.write_state().freeze();
        while self.checkpoint()? {}
        Ok(())
    }

    // With threads.

    /// The commit thread: one batch after the other until the store stops or fails.
    pub fn commit_loop(&self, report: &mut dyn FnMut(Committed)) -> Result<(), String> {
        let ended = self.commit_all(report);
        locked(&self.queue).ended = true;
        self.notify_moved();
        ended
    }

    fn commit_all(&self, report: &mut dyn FnMut(Committed)) -> Result<(), String> {
        loop {
            let batch = {
                let mut queue = locked(&self.queue);
                while queue.ready == 0 {
                    if queue.stopping {
                        return Ok(());
                    }
                    queue.asleep = true;
                    queue = self.queued.wait(queue).unwrap_or_else(|p| p.into_inner());
                }
                queue.asleep = false;
                self.take(&mut queue)
            };
            self.wait_for_room(&batch)?;
            let unsettled = self.commit(batch, report)?;
            if self.is_worth_settling(unsettled / UNSETTLED_MAX) {
                self.settle()?;
            } else if self.is_worth_settling(unsettled) || locked(&self.wal).is_short() {
                self.data.ask_for_chores();
            }
            self.notify_if_frozen();
        }
    }

    /// The second writer of large data, until the store stops or fails. It also settles small data, and lets the log's
    /// file grow, so that commits need not wait for either.
    pub fn data_loop(&self) -> Result<(), String> {
        // A chore that fails ends the store, and the writer with it.
        let mut chores = Ok(());
        let written = self.data.write_all(&*self.shared.devices.block, || chores = self.do_chores());
        written.map_err(|e| self.data_failed(Some(e)))?;
        chores
    }

    fn do_chores(&self) -> Result<(), String> {
        let unsettled = locked(&self.unsettled).bytes;
        if self.is_worth_settling(unsettled) {
            self.settle()?;
        }
        if locked(&self.wal).is_short() {
            self.log_file.grow().map_err(|e| self.fail("the log cannot be written", e))?;
        }
        Ok(())
    }

    /// Slows down as the log fills up, so that it rarely comes to a stop; stops while it is full.
    fn wait_for_room(&self, batch: &[Queued]) -> Result<(), String> {
        let used = locked(&self.wal).used();
        let half = self.shared.wal_ring / 2;
        if used > half {
            std::thread::sleep(Duration::from_micros(2000 * (used - half) / half));
        }
        loop {
            let seen = self.moves();
            if let Some(why) = self.shared.failed.get() {
                return Err(why.clone());
            }
            if self.checkpoints_lag() {
                self.wait_for_move(seen);
                continue;
            }
            if self.has_room(batch) {
                return Ok(());
            }
            if self.oldest_frozen().is_none() && !self.has_room(batch) {
                return Err(self.fail("the log is full", "nothing in it can be checkpointed"));
            }
            self.wait_for_move(seen);
        }
    }

    /// Whether changes pile up in memory while a checkpoint could be made, though the log has room: large ones take
    /// little of it.
    fn checkpoints_lag(&self) -> bool {
        let committed = locked(&self.queue).committed_txn;
        let state = self.shared.read_state();
        let frozen = &state.layers.frozen;
        let bytes: usize = frozen.iter().map(|o| o.bytes).sum();
        bytes > FROZEN_MAX && frozen.front().is_some_and(|o| o.last_txn <= committed)
    }

    /// A frozen overlay may have waited for its last transactions to commit.
    fn notify_if_frozen(&self) {
        if !self.shared.read_state().layers.frozen.is_empty() {
            self.notify_moved();
        }
    }

    /// The checkpoint thread: one frozen overlay after the other until the commit thread, which may wait
    /// for it, has ended, or the store fails.
    pub fn checkpoint_loop(&self) -> Result<(), String> {
        loop {
            let seen = self.moves();
            if self.checkpoint()? {
                continue;
            }
            if self.ended() || self.failed() {
                return Ok(());
            }
            self.wait_for_move(seen);
        }
    }

    /// Waits until blocks that are only quarantined come free. Called by the thread that submits,
    /// when the disk is nearly full.
    pub fn reclaim(&self, threads: bool) -> Result<(), String> {
        if !threads {
            self.step()?;
            return self.flush();
        }
        self.kick();
        self.shared.write_state().freeze();
        loop {
            let seen = self.moves();
            if self.oldest_frozen().is_none() || self.failed() {
                return Ok(());
            }
            self.notify_moved();
            self.wait_for_move(seen + 1);
        }
    }
}
