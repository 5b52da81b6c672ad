//! The write-ahead log: a ring of batches.
//!
//! Positions count bytes from the first byte ever logged and never repeat; a position lies at its
//! remainder by the ring's size. A batch starts at a multiple of 64 and never goes round the ring's
//! end: one that would starts at the ring's beginning instead.
//!
//! ```text
//! batch   ┌ magic 8 · store's tag 8 · position 8 · first transaction 8
//!   64 B  │ transactions 4 · body length 4 · crc32c of header and body 4 · zeros 20
//!         └ body: records
//! record    meta length 4 · pieces 4 · (block 4 · blocks 4 · bytes 4)… · meta · bytes of pieces
//! ```
//! Changes that are too many for the ring lie in blocks of their own, written and synced before the record, which then
//! says where (see [`Away`]).
//! A batch is written at once, and the next only after it was synced. So after a crash at most the
//! last batch is damaged, and a good batch after a bad one is no crash: somebody changed the log, and
//! we refuse to open. Position and tag are part of what the checksum covers, so batches of earlier
//! rounds or of other stores never pass for ours.
//!
//! Batches are written round the page cache, which takes whole blocks of 4 KiB. So a write repeats what the block in
//! which it begins holds already (the same bytes: tearing it harms nothing), and ends with zeros, which must not reach
//! what is still needed.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use denc::{DecodeError, Decoder};

use crate::aligned::AlignedBuf;
use crate::alloc::Run;
use crate::crc::{crc32c, crc32c_of};
use crate::device::BlockDevice;
use crate::kv::{Mark, Table};
use crate::onode::BLOCK;
use crate::overlay::Overlay;

const MAGIC: u64 = u64::from_le_bytes(*b"SPIRWAL1");
const HEADER: usize = 64;
const ALIGN: u64 = 64;
/// The file grows by this much, with zeros written, so that later syncs change no file-system metadata.
const GROWTH: u64 = 4 << 20;
/// … and is told to grow when less than this of it is left.
const AHEAD: u64 = GROWTH / 2;
/// … in writes of this size.
const ZEROS: usize = 256 << 10;

/// A buffer that has grown larger than this is given back.
const BUFFER_MAX: usize = 2 << 20;

/// Pieces from this size on are written round the page cache; below, waiting for each costs more.
const LARGE: usize = 512 << 10;

/// Object data at its place on the block device; bytes missing at its end are zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub phys: u32,
    pub blocks: u32,
    pub data: Bytes,
    /// It stays in memory as well, if it is large: somebody may read it soon.
    pub cached: bool,
}

impl Piece {
    /// Brings the data to its place.
    pub fn write_to(&self, device: &dyn BlockDevice) -> io::Result<()> {
        let at = u64::from(self.phys) * BLOCK;
        let full = self.blocks as usize * BLOCK as usize;
        if self.data.len() == full {
            return match (full >= LARGE, self.cached) {
                (true, true) => device.write_cached_at(at, &self.data),
                (true, false) => device.write_direct_at(at, &self.data),
                (false, _) => device.write_at(at, &self.data),
            };
        }
        let mut padded = Vec::with_capacity(full);
        padded.extend_from_slice(&self.data);
        padded.resize(full, 0);
        device.write_at(at, &padded)
    }
}

/// Where encoded changes lie that do not fit into the log: in blocks which nothing else refers to, and which are let go
/// of by the very transaction, so that they are free once it is in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    pub runs: Vec<Run>,
    bytes: u32,
    crc: u32,
}

/// Set in a record's meta length: what follows is an [`Away`].
const IS_AWAY: u32 = 1 << 31;

impl Away {
    /// For changes that are written to these blocks.
    pub fn new(runs: Vec<Run>, meta: &Bytes) -> Self {
        Self { runs, bytes: meta.len() as u32, crc: crc32c(meta) }
    }

    /// What is to be written there.
    pub fn pieces(&self, meta: &Bytes) -> Vec<Piece> {
        let mut rest = meta.clone();
        let mut pieces = Vec::new();
        for &(phys, blocks) in &self.runs {
            // What fills no block stands alone: filling it up copies its piece.
            let whole = blocks.min((rest.len() / BLOCK as usize) as u32);
            if whole > 0 {
                pieces.push(Piece {
                    phys,
                    blocks: whole,
                    data: rest.split_to(whole as usize * BLOCK as usize),
                    cached: false,
                });
            }
            if whole < blocks {
                pieces.push(Piece {
                    phys: phys + whole,
                    blocks: blocks - whole,
                    data: std::mem::take(&mut rest),
                    cached: false,
                });
            }
        }
        pieces
    }

    fn encode(&self) -> Bytes {
        let mut e = denc::Encoder::with_capacity(0, 12 + 8 * self.runs.len());
        e.u32(self.bytes);
        e.u32(self.crc);
        e.u32(self.runs.len() as u32);
        for (first, n) in &self.runs {
            e.u32(*first);
            e.u32(*n);
        }
        e.finish()
    }

    fn decode(raw: Bytes) -> Result<Self, DecodeError> {
        let mut d = Decoder::new(raw);
        let (bytes, crc) = (d.u32()?, d.u32()?);
        let runs = (0..d.count(8)?).map(|_| Ok((d.u32()?, d.u32()?))).collect::<Result<Vec<_>, DecodeError>>()?;
        Ok(Self { runs, bytes, crc })
    }

    /// Reads the changes back from a disk of that many blocks.
    pub fn read(&self, device: &dyn BlockDevice, disk_blocks: u64) -> io::Result<Bytes> {
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let room: u64 = self.runs.iter().map(|(_, n)| u64::from(*n) * BLOCK).sum();
        let inside = |(first, n): &Run| u64::from(*first) + u64::from(*n) <= disk_blocks;
        if !self.runs.iter().all(inside) || room < self.bytes.into() || room > disk_blocks * BLOCK {
            return Err(wrong("a transaction's changes are said to lie beyond the disk"));
        }
        let mut meta = Vec::with_capacity(room as usize);
        for (first, n) in &self.runs {
            device.read_onto(u64::from(*first) * BLOCK, *n as usize * BLOCK as usize, &mut meta)?;
        }
        meta.truncate(self.bytes as usize);
        if crc32c(&meta) != self.crc {
            return Err(wrong("a transaction's changes, which lie outside the log, do not match their checksum"));
        }
        Ok(meta.into())
    }
}

/// The row changes of a transaction, or where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meta {
    Here(Bytes),
    Away(Away),
}

/// One transaction as it is logged: row changes, and the data that travels in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    meta: Bytes,
    away: bool,
    pub pieces: Vec<Piece>,
}

impl Record {
    pub fn new(meta: Meta, pieces: Vec<Piece>) -> Self {
        match meta {
            Meta::Here(meta) => Self { meta, away: false, pieces },
            Meta::Away(away) => Self { meta: away.encode(), away: true, pieces },
        }
    }

    /// # Errors
    /// If it says where the changes lie, and that makes no sense.
    pub fn meta(&self) -> Result<Meta, DecodeError> {
        match self.away {
            false => Ok(Meta::Here(self.meta.clone())),
            true => Away::decode(self.meta.clone()).map(Meta::Away),
        }
    }

    pub fn len(&self) -> usize {
        8 + self.meta.len() + self.pieces.iter().map(|p| 12 + p.data.len()).sum::<usize>()
    }

    fn write(&self, out: &mut AlignedBuf) {
        let u32 = |out: &mut AlignedBuf, v: usize| out.extend_from_slice(&(v as u32).to_le_bytes());
        u32(out, self.meta.len() | if self.away { IS_AWAY as usize } else { 0 });
        u32(out, self.pieces.len());
        for p in &self.pieces {
            u32(out, p.phys as usize);
            u32(out, p.blocks as usize);
            u32(out, p.data.len());
        }
        out.extend_from_slice(&self.meta);
        self.pieces.iter().for_each(|p| out.extend_from_slice(&p.data));
    }

    fn read(d: &mut Decoder) -> Result<Self, DecodeError> {
        let word = d.u32()?;
        let (meta_len, away) = ((word & !IS_AWAY) as usize, word & IS_AWAY != 0);
        let n = d.count(12)?;
        let heads = (0..n).map(|_| Ok((d.u32()?, d.u32()?, d.u32()? as usize)));
        let heads = heads.collect::<Result<Vec<_>, DecodeError>>()?;
        let meta = d.take(meta_len)?;
        let piece = |(phys, blocks, len)| Ok(Piece { phys, blocks, data: d.take(len)?, cached: false });
        Ok(Self { meta, away, pieces: heads.into_iter().map(piece).collect::<Result<_, DecodeError>>()? })
    }
}

/// The row changes of a transaction as bytes.
pub fn encode_meta(changes: &Overlay, next_id: u64) -> Bytes {
    let mut e = denc::Encoder::with_capacity(0, 2048);
    e.u64(next_id);
    let drops: Vec<_> = Table::ALL.into_iter().flat_map(|t| changes.drops(t).map(move |id| (t, id))).collect();
    e.u32(drops.len() as u32);
    for (table, id) in drops {
        e.u8(table as u8);
        e.u64(id);
    }
    for table in Table::ALL {
        for (key, value) in changes.rows(table) {
            e.u8(table as u8 | if value.is_some() { 0x80 } else { 0 });
            e.blob(key);
            if let Some(value) = value {
                e.blob(value);
            }
        }
    }
    e.finish()
}

/// Reads them back into an overlay; gives the next number.
pub fn decode_meta(meta: Bytes, into: &mut Overlay) -> Result<u64, DecodeError> {
    let table = |code: u8| {
        Table::from_code(code & 0x7f).ok_or(DecodeError::Invalid { what: "table in the log", value: code.into() })
    };
    let mut d = Decoder::new(meta);
    let next_id = d.u64()?;
    for _ in 0..d.count(9)? {
        let t = table(d.u8()?)?;
        into.drop_numbered(t, d.u64()?);
    }
    while !d.is_empty() {
        let code = d.u8()?;
        let key = d.blob()?.to_vec();
        let value = if code & 0x80 != 0 { Some(Bytes::copy_from_slice(&d.blob()?)) } else { None };
        into.set(table(code)?, key, value);
    }
    Ok(next_id)
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    #[error("the log cannot be read")]
    Io(#[from] io::Error),
    #[error(
        "the log is damaged: transaction {expected} at byte {at} of `wal` is unreadable, but transaction {later} \
         after it is intact, so acknowledged writes would be lost by going on"
    )]
    Damaged { at: u64, expected: u64, later: u64 },
    #[error("the log holds transaction {txn}, whose checksum is right, in a form that we cannot read")]
    Malformed { txn: u64, source: DecodeError },
    #[error("the log holds transaction {txn}, whose changes lie on the disk and cannot be read")]
    Away { txn: u64, source: io::Error },
}

/// Why a record could not be replayed.
#[derive(Debug)]
pub enum ReplayError {
    Malformed(DecodeError),
    /// Its changes lie outside the log, and cannot be read there.
    Away(io::Error),
}

impl From<DecodeError> for ReplayError {
    fn from(e: DecodeError) -> Self {
        Self::Malformed(e)
    }
}

struct Header {
    first_txn: u64,
    count: u32,
    body_len: u32,
}

/// The log's file, as long as the ring in the end.
#[derive(Debug)]
pub struct LogFile {
    device: Arc<dyn BlockDevice>,
    ring: u64,
    /// Zeros are being written behind its end, where nobody else writes.
    growing: Mutex<()>,
}

impl LogFile {
    /// Makes it at least so long.
    fn reach(&self, wanted: u64) -> io::Result<()> {
        if self.device.len() >= wanted {
            return Ok(());
        }
        let _growing = self.growing.lock().unwrap_or_else(|p| p.into_inner());
        let mut zeros = AlignedBuf::default();
        zeros.resize(ZEROS);
        let wanted = wanted.next_multiple_of(GROWTH).min(self.ring);
        while self.device.len() < wanted {
            let len = self.device.len();
            let n = (wanted - len).min(ZEROS as u64) as usize;
            self.device.write_direct_at(len, &zeros.as_slice()[..n])?;
        }
        Ok(())
    }

    /// Makes it longer before a batch needs that. Any thread may.
    ///
    /// # Errors
    /// A write failed.
    pub fn grow(&self) -> io::Result<()> {
        self.reach((self.device.len() + 1).min(self.ring))
    }
}

#[derive(Debug)]
pub struct Wal {
    file: Arc<LogFile>,
    tag: u64,
    /// Where the next batch goes.
    head: u64,
    /// What lies before it is in the checkpoint.
    tail: u64,
    next_txn: u64,
    /// Batches since the tail: first transaction and position.
    batches: VecDeque<(u64, u64)>,
    /// What the log holds of the block in which the head lies, up to the head. `None`: to be read.
    block: Option<AlignedBuf>,
}

impl Wal {
    pub fn new(device: Arc<dyn BlockDevice>, ring: u64, tag: u64, mark: Mark) -> Self {
        let (pos, next_txn) = (mark.wal_pos, mark.wal_txn);
        let file = Arc::new(LogFile { device, ring, growing: Mutex::default() });
        Self { file, tag, head: pos, tail: pos, next_txn, batches: VecDeque::new(), block: None }
    }

    /// Hands out all records after the mark, in order, and stops behind the last good batch.
    pub fn replay(&mut self, mut each: impl FnMut(u64, Record) -> Result<(), ReplayError>) -> Result<(), WalError> {
        loop {
            let expected = self.next_txn;
            let round_end = (self.head / self.file.ring + 1) * self.file.ring;
            let mut found = self.read_batch(self.head, expected)?.map(|b| (self.head, b));
            if found.is_none() && !self.head.is_multiple_of(self.file.ring) {
                found = self.read_batch(round_end, expected)?.map(|b| (round_end, b));
            }
            let Some((pos, (header, body))) = found else { break };
            let mut d = Decoder::new(body);
            for txn in expected..expected + u64::from(header.count) {
                let failed = |e| match e {
                    ReplayError::Malformed(source) => WalError::Malformed { txn, source },
                    ReplayError::Away(source) => WalError::Away { txn, source },
                };
                let record = Record::read(&mut d).map_err(|e| failed(e.into()))?;
                each(txn, record).map_err(failed)?;
            }
            self.batches.push_back((expected, pos));
            self.next_txn += u64::from(header.count);
            self.head = pos + batch_len(header.body_len as usize);
        }
        self.refuse_if_anything_follows()
    }

    fn read_header(&self, pos: u64) -> Result<Option<(Header, [u8; HEADER])>, WalError> {
        let at = pos % self.file.ring;
        if at + HEADER as u64 > self.file.device.len() {
            return Ok(None);
        }
        let mut raw = [0; HEADER];
        self.file.device.read_at(at, &mut raw)?;
        Ok(self.parse_header(&raw, pos).map(|h| (h, raw)))
    }

    /// The header, if it is one for this position; its checksum is not looked at.
    fn parse_header(&self, raw: &[u8], pos: u64) -> Option<Header> {
        let u64_at = |i: usize| u64::from_le_bytes(raw[i..i + 8].try_into().expect("8 bytes"));
        let u32_at = |i: usize| u32::from_le_bytes(raw[i..i + 4].try_into().expect("4 bytes"));
        let ours = u64_at(0) == MAGIC && u64_at(8) == self.tag && u64_at(16) == pos;
        let header = Header { first_txn: u64_at(24), count: u32_at(32), body_len: u32_at(36) };
        let fits = pos % self.file.ring + HEADER as u64 + u64::from(header.body_len) <= self.file.ring;
        (ours && fits && header.count > 0).then_some(header)
    }

    /// The batch at `pos` if it is intact and starts with transaction `first`.
    fn read_batch(&self, pos: u64, first: u64) -> Result<Option<(Header, Bytes)>, WalError> {
        match self.read_header(pos)? {
            Some((header, raw)) if header.first_txn == first => {
                Ok(self.read_body(pos, &header, raw)?.map(|body| (header, body)))
            }
            _ => Ok(None),
        }
    }

    fn read_body(&self, pos: u64, header: &Header, raw: [u8; HEADER]) -> Result<Option<Bytes>, WalError> {
        let at = pos % self.file.ring + HEADER as u64;
        if at + u64::from(header.body_len) > self.file.device.len() {
            return Ok(None);
        }
        let mut body = BytesMut::zeroed(header.body_len as usize);
        self.file.device.read_at(at, &mut body)?;
        let stored = u32::from_le_bytes(raw[40..44].try_into().expect("4 bytes"));
        Ok((batch_crc(raw, &body) == stored).then(|| body.freeze()))
    }

    /// Looks through the rest of the ring for an intact batch with a later transaction.
    fn refuse_if_anything_follows(&self) -> Result<(), WalError> {
        let mut buf = vec![0; 1 << 20];
        let end = self.head + self.file.ring - self.head % ALIGN;
        let mut pos = self.head;
        while pos < end {
            let at = pos % self.file.ring;
            let n = (buf.len() as u64).min(self.file.ring - at).min(end - pos);
            let readable = n.min(self.file.device.len().saturating_sub(at)) as usize / HEADER * HEADER;
            if readable > 0 {
                self.file.device.read_at(at, &mut buf[..readable])?;
            }
            for i in (0..readable).step_by(ALIGN as usize) {
                let here = pos + i as u64;
                let Some(header) = self.parse_header(&buf[i..i + HEADER], here) else { continue };
                let raw = buf[i..i + HEADER].try_into().expect("a header's bytes");
                if header.first_txn > self.next_txn && self.read_body(here, &header, raw)?.is_some() {
                    let (expected, later) = (self.next_txn, header.first_txn);
                    return Err(WalError::Damaged { at: self.head % self.file.ring, expected, later });
                }
            }
            pos += n;
        }
        Ok(())
    }

    pub fn next_txn(&self) -> u64 {
        self.next_txn
    }

    pub fn file(&self) -> Arc<LogFile> {
        self.file.clone()
    }

    /// Whether the file should grow by now, so that no batch has to wait for that.
    pub fn is_short(&self) -> bool {
        let len = self.file.device.len();
        len < self.file.ring && self.head % self.file.ring + AHEAD > len
    }

    /// Bytes of the ring that a checkpoint could give back.
    pub fn used(&self) -> u64 {
        self.head - self.tail
    }

    fn place(&self, len: u64) -> u64 {
        let round_end = (self.head / self.file.ring + 1) * self.file.ring;
        if self.head + len > round_end { round_end } else { self.head }
    }

    /// Where the zeros end that are written behind a batch which ends at `end`.
    fn padded(&self, pos: u64, end: u64) -> u64 {
        let round = pos / self.file.ring * self.file.ring;
        round + (end - round).next_multiple_of(BLOCK).min(self.file.ring)
    }

    /// Whether a batch with this many bytes of records can be appended now.
    pub fn has_room(&self, body_len: usize) -> bool {
        let len = batch_len(body_len);
        let pos = self.place(len);
        self.padded(pos, pos + len) - self.tail <= self.file.ring
    }

    /// Appends a batch; it is durable after `sync`.
    pub fn append(&mut self, records: &[&Record]) -> io::Result<()> {
        let body_len: usize = records.iter().map(|r| r.len()).sum();
        assert!(self.has_room(body_len), "the caller asked");
        let len = batch_len(body_len);
        let pos = self.place(len);
        let mut buf = match self.block.take() {
            Some(block) => block,
            None => self.read_block()?,
        };
        if pos != self.head {
            buf.clear();
        }
        let start = buf.len();
        let at = pos % self.file.ring - start as u64;
        buf.reserve((len + 2 * BLOCK) as usize);
        for word in [MAGIC, self.tag, pos, self.next_txn] {
            buf.extend_from_slice(&word.to_le_bytes());
        }
        for word in [records.len() as u32, body_len as u32] {
            buf.extend_from_slice(&word.to_le_bytes());
        }
        buf.resize(start + HEADER);
        records.iter().for_each(|r| r.write(&mut buf));
        let batch = &mut buf.as_mut_slice()[start..];
        let header = batch[..HEADER].try_into().expect("a header's bytes");
        let crc = batch_crc(header, &batch[HEADER..]);
        batch[40..44].copy_from_slice(&crc.to_le_bytes());
        let end = self.padded(pos, pos + len);
        buf.resize((end - pos) as usize + start);
        self.file.reach(at + buf.len() as u64)?;
        self.file.device.write_direct_at(at, buf.as_slice())?;
        self.batches.push_back((self.next_txn, pos));
        self.next_txn += records.len() as u64;
        self.head = pos + len;
        self.keep_block(buf, start + len as usize);
        Ok(())
    }

    /// Of a buffer that was written, in which the head is at `head`, keeps what the next write repeats.
    fn keep_block(&mut self, mut buf: AlignedBuf, head: usize) {
        buf.resize(head);
        buf.keep_from(head / BLOCK as usize * BLOCK as usize);
        if buf.capacity() > BUFFER_MAX {
            let mut small = AlignedBuf::default();
            small.extend_from_slice(buf.as_slice());
            buf = small;
        }
        self.block = Some(buf);
    }

    /// What the log holds of the block in which the head lies, up to the head.
    fn read_block(&self) -> io::Result<AlignedBuf> {
        let head = self.head % self.file.ring;
        let start = head / BLOCK * BLOCK;
        let mut block = AlignedBuf::default();
        block.resize((head - start) as usize);
        // A file that is shorter holds zeros there.
        let there = self.file.device.len().clamp(start, head) - start;
        self.file.device.read_at(start, &mut block.as_mut_slice()[..there as usize])?;
        Ok(block)
    }

    /// Where replay may start once all transactions up to `txn` are in the checkpoint.
    pub fn mark_after(&self, txn: u64, next_id: u64) -> Mark {
        let behind = self.batches.iter().rev().find(|(first, _)| *first <= txn + 1);
        let (wal_txn, wal_pos) = match behind {
            _ if txn + 1 == self.next_txn => (self.next_txn, self.head),
            Some(&batch) => batch,
            None => (self.next_txn, self.tail),
        };
        Mark { wal_pos, wal_txn, applied_txn: txn, next_id }
    }

    /// Gives the space before the mark back.
    pub fn trim(&mut self, mark: Mark) {
        while self.batches.front().is_some_and(|(_, pos)| *pos < mark.wal_pos) {
            self.batches.pop_front();
        }
        self.tail = mark.wal_pos;
    }
}

fn batch_len(body_len: usize) -> u64 {
    (HEADER as u64 + body_len as u64).next_multiple_of(ALIGN)
}

fn batch_crc(mut header: [u8; HEADER], body: &[u8]) -> u32 {
    header[40..44].fill(0);
    crc32c_of(&[&header, body])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimDevice;

    const RING: u64 = 40 << 20;

    fn record(n: u64) -> Record {
        let data = Bytes::from(vec![n as u8 | 1; 300_000]);
        Record::new(
            Meta::Here(Bytes::copy_from_slice(&n.to_le_bytes())),
            vec![Piece { phys: 1, blocks: 74, data, cached: false }],
        )
    }

    #[test]
    fn a_file_that_another_thread_makes_longer_keeps_every_batch() {
        let device = Arc::new(SimDevice::default());
        let mark = Mark { wal_txn: 1, ..Mark::default() };
        let mut wal = Wal::new(device.clone(), RING, 7, mark);
        let (file, all) = (wal.file(), 1..=120);
        std::thread::scope(|scope| {
            let grower = scope.spawn(|| (0..RING / GROWTH).try_for_each(|_| file.grow()));
            all.clone().for_each(|n| wal.append(&[&record(n)]).unwrap());
            grower.join().unwrap().unwrap();
        });
        assert_eq!((device.len(), wal.is_short()), (RING, false));
        let mut found = Vec::new();
        let mut again = Wal::new(device, RING, 7, mark);
        again
            .replay(|txn, r| {
                assert_eq!(r, record(txn));
                found.push(txn);
                Ok(())
            })
            .unwrap();
        assert_eq!(found, all.collect::<Vec<_>>());
    }

    #[test]
    fn the_log_asks_for_more_before_it_needs_it_until_it_is_as_long_as_the_ring() {
        let mut wal = Wal::new(Arc::new(SimDevice::default()), 2 * GROWTH, 7, Mark { wal_txn: 1, ..Mark::default() });
        assert!(wal.is_short());
        wal.file().grow().unwrap();
        assert!(!wal.is_short());
        (1..=8).for_each(|n| wal.append(&[&record(n)]).unwrap());
        assert!(wal.is_short());
        wal.file().grow().unwrap();
        (9..=20).for_each(|n| wal.append(&[&record(n)]).unwrap());
        assert!(!wal.is_short());
        wal.file().grow().unwrap();
        assert_eq!(wal.file().device.len(), 2 * GROWTH);
    }
}
