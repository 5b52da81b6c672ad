//! Frames: a preamble, up to four segments, checksums.
//!
//! ```text
//!          preamble (32 bytes)                    msgr2.1: segment 0, its crc, segments 1–3, and
//!  tag, count, 4 × (length, align), 0, crc        an epilogue (status, 3 crcs) if there are several
//!                                                 msgr2.0: segments 0–3, epilogue (flags, 4 crcs)
//! ```
//! The preamble's crc starts at 0, a segment's at −1; neither is inverted.
//!
//! Invariants:
//! - Nothing is reserved because a length announces it: a length over the limit of its segment ends
//!   the connection, and within the limit the buffer grows as bytes arrive.
//! - Whoever has no session yet can make us keep a control frame, and no more.
//! - A frame is given out only when all of it is there and every checksum holds. Its segments share
//!   the receive buffer.

use bytes::{Bytes, BytesMut};
use types::crc32c;

use crate::error::ProtocolError;
use crate::tx::TxQueue;

macro_rules! tags {
    ($($name:ident = $code:literal),* $(,)?) => {
        /// What a frame is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Tag { $($name = $code),* }

        impl Tag {
            fn from_code(code: u8) -> Result<Self, ProtocolError> {
                match code {
                    $($code => Ok(Self::$name),)*
                    _ => Err(ProtocolError::UnknownTag(code)),
                }
            }
        }
    };
}

tags! {
    Hello = 1,
    AuthRequest = 2,
    AuthBadMethod = 3,
    AuthReplyMore = 4,
    AuthRequestMore = 5,
    AuthDone = 6,
    AuthSignature = 7,
    ClientIdent = 8,
    ServerIdent = 9,
    IdentMissingFeatures = 10,
    SessionReconnect = 11,
    SessionReset = 12,
    SessionRetry = 13,
    SessionRetryGlobal = 14,
    SessionReconnectOk = 15,
    Wait = 16,
    Message = 17,
    Keepalive2 = 18,
    Keepalive2Ack = 19,
    Ack = 20,
}

/// How frames are laid out and protected. Secure mode (AES-GCM) becomes a variant of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Codec {
    /// msgr2.0 with checksums: clients of release 14, and kernels before 5.11.
    CrcRev0,
    /// msgr2.1 with checksums.
    #[default]
    CrcRev1,
}

/// How long a segment may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A control frame.
    pub control: u32,
    pub front: u32,
    pub middle: u32,
    pub data: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { control: 1 << 20, front: 128 << 20, middle: 16 << 20, data: 512 << 20 }
    }
}

impl Limits {
    /// What a peer may send before its session is agreed: control frames only.
    pub(crate) fn handshake(self) -> Self {
        Self { control: self.control, front: 0, middle: 0, data: 0 }
    }

    fn max(&self, tag: Tag, index: usize) -> u32 {
        match (tag, index) {
            (Tag::Message, 1) => self.front,
            (Tag::Message, 2) => self.middle,
            (Tag::Message, 3) => self.data,
            _ => self.control,
        }
    }
}

const PREAMBLE: usize = 32;
const SEGMENTS: usize = 4;
const ALIGN: u16 = 8;
/// The alignment that Ceph states for message data.
const DATA_ALIGN: u16 = 4096;
const LATE_COMPLETE: u8 = 0x0e;
const LATE_ABORTED: u8 = 0x01;

/// A whole frame whose checksums hold.
#[derive(Debug, Clone)]
pub struct Frame {
    pub tag: Tag,
    pub segments: [Bytes; SEGMENTS],
}

/// A checked preamble.
#[derive(Debug, Clone, Copy)]
struct Preamble {
    tag: Tag,
    count: usize,
    len: [u32; SEGMENTS],
}

impl Preamble {
    fn parse(raw: &[u8], limits: &Limits) -> Result<Self, ProtocolError> {
        let crc = u32::from_le_bytes(raw[28..32].try_into().expect("4 bytes"));
        if crc32c(0, &raw[..28]) != crc {
            return Err(ProtocolError::PreambleCrc);
        }
        let tag = Tag::from_code(raw[0])?;
        let count = usize::from(raw[1]);
        if !(1..=SEGMENTS).contains(&count) {
            return Err(ProtocolError::SegmentCount(raw[1]));
        }
        if count > 1 && tag != Tag::Message {
            return Err(ProtocolError::ControlSegments(tag));
        }
        let mut len = [0; SEGMENTS];
        for (index, slot) in len.iter_mut().enumerate().take(count) {
            let at = 2 + 6 * index;
            *slot = u32::from_le_bytes(raw[at..at + 4].try_into().expect("4 bytes"));
            let max = limits.max(tag, index);
            if *slot > max {
                return Err(ProtocolError::SegmentTooLong { tag, index, len: *slot, max });
            }
        }
        if count > 1 && len[count - 1] == 0 {
            return Err(ProtocolError::LastSegmentEmpty);
        }
        Ok(Self { tag, count, len })
    }

    /// Bytes on the wire after the preamble.
    fn body_len(&self, codec: Codec) -> usize {
        let payload: usize = self.len.iter().map(|l| *l as usize).sum();
        payload
            + match codec {
                Codec::CrcRev0 => 1 + 4 * SEGMENTS,
                Codec::CrcRev1 => {
                    let first = if self.len[0] > 0 { 4 } else { 0 };
                    let epilogue = if self.count > 1 { 1 + 4 * (SEGMENTS - 1) } else { 0 };
                    first + epilogue
                }
            }
    }
}

/// Cuts what arrives into frames.
#[derive(Debug)]
pub struct FrameReader {
    codec: Codec,
    limits: Limits,
    buf: BytesMut,
    preamble: Option<Preamble>,
    /// Raw bytes of what was taken off, while signatures over the handshake need them.
    record: Option<Vec<u8>>,
}

/// What one read asks for at least; a frame that is longer gets as much as it announces, up to
/// `GROW_MAX` or twice what has arrived.
const READ_CHUNK: usize = 64 * 1024;
const READ_MIN: usize = 8 * 1024;
const GROW_MAX: usize = 4 << 20;

impl FrameReader {
    pub fn new(limits: Limits) -> Self {
        Self { codec: Codec::default(), limits, buf: BytesMut::new(), preamble: None, record: Some(Vec::new()) }
    }

    pub fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A buffer with room, for the driver to read into behind what it holds.
    pub fn recv_buf(&mut self) -> &mut BytesMut {
        let missing = self.missing();
        let spare = self.buf.capacity() - self.buf.len();
        if missing > spare {
            let growth = missing.min(self.buf.len().max(GROW_MAX));
            self.buf.reserve(growth.max(READ_CHUNK));
        } else if spare < READ_MIN && missing < spare {
            self.buf.reserve(READ_CHUNK);
        }
        &mut self.buf
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// How many bytes are lacking for the next step.
    fn missing(&self) -> usize {
        let need = self.preamble.map_or(PREAMBLE, |p| p.body_len(self.codec));
        need.saturating_sub(self.buf.len())
    }

    /// Bytes that arrived and belong to no whole frame yet.
    pub fn buffered(&self) -> usize {
        self.buf.len()
    }

    pub(crate) fn recorded(&self) -> &[u8] {
        self.record.as_deref().unwrap_or_default()
    }

    pub(crate) fn stop_recording(&mut self) {
        self.record = None;
    }

    /// Takes `n` raw bytes if they are there (the banner, which is no frame).
    pub(crate) fn take_raw(&mut self, n: usize) -> Option<Bytes> {
        (self.buf.len() >= n).then(|| self.take(n))
    }

    pub(crate) fn peek(&self) -> &[u8] {
        &self.buf
    }

    fn take(&mut self, n: usize) -> Bytes {
        let bytes = self.buf.split_to(n).freeze();
        if let Some(record) = &mut self.record {
            record.extend_from_slice(&bytes);
        }
        bytes
    }

    /// The next frame, if all of it has arrived. Frames that their sender aborted are skipped.
    ///
    /// # Errors
    /// What is wrong with the frame. Nothing can be read from this connection any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ProtocolError> {
        loop {
            let preamble = match self.preamble {
                Some(p) => p,
                None => {
                    let Some(raw) = self.take_raw(PREAMBLE) else { return Ok(None) };
                    *self.preamble.insert(Preamble::parse(&raw, &self.limits)?)
                }
            };
            let Some(body) = self.take_raw(preamble.body_len(self.codec)) else { return Ok(None) };
            self.preamble = None;
            let frame = match self.codec {
                Codec::CrcRev0 => open_rev0(preamble, body)?,
                Codec::CrcRev1 => open_rev1(preamble, body)?,
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }
}

fn check(tag: Tag, index: usize, segment: &[u8], crc: &[u8]) -> Result<(), ProtocolError> {
    let crc = u32::from_le_bytes(crc.try_into().expect("the caller cut 4 bytes"));
    if crc32c(u32::MAX, segment) == crc { Ok(()) } else { Err(ProtocolError::SegmentCrc { tag, index }) }
}

fn open_rev1(p: Preamble, mut body: Bytes) -> Result<Option<Frame>, ProtocolError> {
    let mut segments: [Bytes; SEGMENTS] = Default::default();
    if p.len[0] > 0 {
        segments[0] = body.split_to(p.len[0] as usize);
        check(p.tag, 0, &segments[0], &body.split_to(4))?;
    }
    if p.count == 1 {
        return Ok(Some(Frame { tag: p.tag, segments }));
    }
    for (segment, len) in segments.iter_mut().zip(p.len).skip(1) {
        *segment = body.split_to(len as usize);
    }
    match body[0] & 0x0f {
        LATE_COMPLETE => {}
        LATE_ABORTED => return Ok(None),
        _ => return Err(ProtocolError::LateStatus { tag: p.tag, status: body[0] }),
    }
    for (i, segment) in segments.iter().enumerate().take(p.count).skip(1) {
        check(p.tag, i, segment, &body[4 * i - 3..4 * i + 1])?;
    }
    Ok(Some(Frame { tag: p.tag, segments }))
}

fn open_rev0(p: Preamble, mut body: Bytes) -> Result<Option<Frame>, ProtocolError> {
    let mut segments: [Bytes; SEGMENTS] = Default::default();
    for (segment, len) in segments.iter_mut().zip(p.len) {
        *segment = body.split_to(len as usize);
    }
    if body[0] & LATE_ABORTED != 0 {
        return Ok(None);
    }
    for (i, segment) in segments.iter().enumerate().take(p.count) {
        check(p.tag, i, segment, &body[4 * i + 1..4 * i + 5])?;
    }
    Ok(Some(Frame { tag: p.tag, segments }))
}

/// Appends a frame: `head` is segment 0, `rest` the others. Trailing empty segments are left out.
pub fn put_frame(tx: &mut TxQueue, codec: Codec, tag: Tag, head: &[u8], rest: [&Bytes; SEGMENTS - 1]) {
    let count = 1 + rest.iter().rposition(|s| !s.is_empty()).map_or(0, |i| i + 1);
    let rest = &rest[..count - 1];
    let mut preamble = [0; PREAMBLE];
    preamble[0] = tag as u8;
    preamble[1] = count as u8;
    let lens = std::iter::once(head.len()).chain(rest.iter().map(|s| s.len()));
    for (i, len) in lens.enumerate() {
        let len = u32::try_from(len).expect("no segment reaches 4 GiB");
        let align = if i == SEGMENTS - 1 { DATA_ALIGN } else { ALIGN };
        preamble[2 + 6 * i..6 + 6 * i].copy_from_slice(&len.to_le_bytes());
        preamble[6 + 6 * i..8 + 6 * i].copy_from_slice(&align.to_le_bytes());
    }
    let crc = crc32c(0, &preamble[..28]);
    preamble[28..].copy_from_slice(&crc.to_le_bytes());
    tx.put(&preamble);
    tx.put(head);
    match codec {
        Codec::CrcRev1 => {
            if !head.is_empty() {
                tx.put(&crc32c(u32::MAX, head).to_le_bytes());
            }
            if count > 1 {
                let mut epilogue = [0; 1 + 4 * (SEGMENTS - 1)];
                epilogue[0] = LATE_COMPLETE;
                put_segments(tx, rest, &mut epilogue[1..]);
                tx.put(&epilogue);
            }
        }
        Codec::CrcRev0 => {
            let mut epilogue = [0; 1 + 4 * SEGMENTS];
            epilogue[1..5].copy_from_slice(&crc32c(u32::MAX, head).to_le_bytes());
            put_segments(tx, rest, &mut epilogue[5..]);
            tx.put(&epilogue);
        }
    }
}

fn put_segments(tx: &mut TxQueue, segments: &[&Bytes], crcs: &mut [u8]) {
    for (segment, crc) in segments.iter().zip(crcs.chunks_exact_mut(4)) {
        crc.copy_from_slice(&crc32c(u32::MAX, segment).to_le_bytes());
        tx.put_bytes(segment);
    }
}
