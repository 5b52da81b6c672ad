//! The frames of an exported PG, and how their wholeness is proved.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder, from_bytes, to_bytes};
use types::{EVersion, Epoch, GHObject, OsdId, SnapId, SpgId, Uuid, crc32c, features};

pub(super) const MAGIC: &[u8; 8] = b"SPIRPGE1";
/// A frame is written in pieces of about this size; one row may be larger.
pub(super) const PIECE: usize = 1 << 20;
/// No frame is larger: a value of an omap may take as much as a client's message.
const FRAME_MAX: u32 = 512 << 20;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    #[error("this is no exported PG (it does not begin with {})", String::from_utf8_lossy(MAGIC))]
    NoExport,
    #[error("the file ends in the middle, after {0} frames: the export was cut short, or the copy of it")]
    Truncated(u64),
    #[error("frame {0} is damaged (its checksum is wrong): copy the file again, or export again")]
    Damaged(u64),
    #[error("frame {frame} cannot be understood: {source}")]
    Decode { frame: u64, source: DecodeError },
    #[error("frame {0} does not belong where it is")]
    Misplaced(u64),
    #[error("the end of the file counts {0}, but it holds {1}")]
    Count(Totals, Totals),
    #[error("there is more behind the end")]
    Trailing,
}

/// Where an exported PG comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub pgid: SpgId,
    /// Of the cluster.
    pub fsid: Uuid,
    pub whoami: OsdId,
    pub osd_fsid: Uuid,
    /// Where the PG stands, and the whole map of that epoch.
    pub epoch: Epoch,
    pub map: Bytes,
    pub last_update: EVersion,
}

impl Encode for Head {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.pgid);
            e.put(&self.fsid);
            e.i32(self.whoami);
            e.put(&self.osd_fsid);
            e.u32(self.epoch);
            e.blob(&self.map);
            e.put(&self.last_update);
        });
    }
}

impl Decode for Head {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("exported PG", 1, |d, _| {
            Ok(Self {
                pgid: d.get()?,
                fsid: d.get()?,
                whoami: d.i32()?,
                osd_fsid: d.get()?,
                epoch: d.u32()?,
                map: d.blob()?,
                last_update: d.get()?,
            })
        })
    }
}

/// An object but for its data and omap, which follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectHead {
    pub oid: GHObject,
    pub size: u64,
    pub attrs: BTreeMap<ByteStr, Bytes>,
    pub omap_header: Bytes,
    /// Of a clone: the snapshots that it stands for.
    pub snaps: BTreeSet<SnapId>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub objects: u64,
    pub bytes: u64,
    pub omap_keys: u64,
    /// Objects that could not be read and were left out.
    pub left_out: u64,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { objects, bytes, omap_keys, left_out } = self;
        write!(f, "{objects} objects, {bytes} bytes, {omap_keys} omap keys")?;
        if *left_out > 0 { write!(f, ", {left_out} unreadable objects left out") } else { Ok(()) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Head(Head),
    /// Keys of the PG's own record: info, past intervals, log, missing set.
    Record(BTreeMap<ByteStr, Bytes>),
    Object(ObjectHead),
    /// Of the object before it.
    Data {
        off: u64,
        data: Bytes,
    },
    Omap(BTreeMap<ByteStr, Bytes>),
    /// An object that could not be read, and its version.
    LeftOut {
        oid: GHObject,
        need: EVersion,
    },
    End(Totals),
}

impl Frame {
    fn kind(&self) -> u32 {
        match self {
            Self::Head(_) => 1,
            Self::Record(_) => 2,
            Self::Object(_) => 3,
            Self::Data { .. } => 4,
            Self::Omap(_) => 5,
            Self::LeftOut { .. } => 6,
            Self::End(_) => 7,
        }
    }

    fn body(&self) -> Bytes {
        let mut e = Encoder::new(features::ALL);
        match self {
            Self::Head(head) => return to_bytes(head, features::ALL),
            Self::Record(keys) | Self::Omap(keys) => e.put(keys),
            Self::Object(o) => e.versioned(1, 1, |e| {
                e.put(&o.oid);
                e.u64(o.size);
                e.put(&o.attrs);
                e.blob(&o.omap_header);
                e.put(&o.snaps);
            }),
            Self::Data { off, data } => {
                e.u64(*off);
                e.raw(data);
            }
            Self::LeftOut { oid, need } => {
                e.put(oid);
                e.put(need);
            }
            Self::End(t) => [t.objects, t.bytes, t.omap_keys, t.left_out].iter().for_each(|n| e.u64(*n)),
        }
        e.finish()
    }

    fn parse(kind: u32, body: Bytes) -> Result<Self, DecodeError> {
        let mut d = Decoder::new(body.clone());
        let frame = match kind {
            1 => return from_bytes(body).map(Self::Head),
            2 => Self::Record(d.get()?),
            3 => Self::Object(d.versioned("exported object", 1, |d, _| {
                let (oid, size, attrs) = (d.get()?, d.u64()?, d.get()?);
                Ok(ObjectHead { oid, size, attrs, omap_header: d.blob()?, snaps: d.get()? })
            })?),
            4 => Self::Data { off: d.u64()?, data: d.rest() },
            5 => Self::Omap(d.get()?),
            6 => Self::LeftOut { oid: d.get()?, need: d.get()? },
            7 => {
                let (objects, bytes, omap_keys, left_out) = (d.u64()?, d.u64()?, d.u64()?, d.u64()?);
                Self::End(Totals { objects, bytes, omap_keys, left_out })
            }
            _ => return Err(DecodeError::Invalid { what: "kind of frame", value: kind.into() }),
        };
        d.expect_end()?;
        Ok(frame)
    }
}

/// Of a frame at its place in the file.
fn checksum(number: u64, head: &[u8; 8], body: &[u8]) -> u32 {
    // With the usual inversions at both ends.
    let before = crc32c(u32::MAX, &number.to_le_bytes());
    !crc32c(crc32c(before, head), body)
}

/// Counts what passes, so that the end can be made and checked.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    totals: Totals,
}

impl Tally {
    fn note(&mut self, frame: &Frame) {
        self.frames += 1;
        let t = &mut self.totals;
        match frame {
            Frame::Object(_) => t.objects += 1,
            Frame::Data { data, .. } => t.bytes += data.len() as u64,
            Frame::Omap(keys) => t.omap_keys += keys.len() as u64,
            Frame::LeftOut { .. } => t.left_out += 1,
            Frame::Head(_) | Frame::Record(_) | Frame::End(_) => {}
        }
    }
}

#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    tally: Tally,
}

impl<W: Write> Writer<W> {
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, tally: Tally::default() })
    }

    pub fn put(&mut self, frame: &Frame) -> io::Result<()> {
        let body = frame.body();
        let mut head = [0; 8];
        head[..4].copy_from_slice(&frame.kind().to_le_bytes());
        let len = u32::try_from(body.len()).map_err(|_| io::Error::other("a frame of more than 4 GiB"))?;
        head[4..].copy_from_slice(&len.to_le_bytes());
        let crc = checksum(self.tally.frames, &head, &body);
        self.out.write_all(&head)?;
        self.out.write_all(&body)?;
        self.out.write_all(&crc.to_le_bytes())?;
        self.tally.note(frame);
        Ok(())
    }

    pub fn end(mut self) -> io::Result<Totals> {
        let totals = self.tally.totals;
        self.put(&Frame::End(totals))?;
        self.out.flush()?;
        Ok(totals)
    }
}

/// Gives the frames of a file one by one, up to and without its end, which it checks.
#[derive(Debug)]
pub(super) struct Frames<R> {
    input: R,
    tally: Tally,
}

impl<R: Read> Frames<R> {
    pub fn new(mut input: R) -> Result<(Self, Head), FileError> {
        let mut magic = [0; 8];
        match input.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Ok(()) => return Err(FileError::NoExport),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(FileError::NoExport),
            Err(e) => return Err(e.into()),
        }
        let mut frames = Self { input, tally: Tally::default() };
        match frames.next()? {
            Some(Frame::Head(head)) => Ok((frames, head)),
            _ => Err(FileError::Misplaced(0)),
        }
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<(), FileError> {
        self.input.read_exact(buf).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => FileError::Truncated(self.tally.frames),
            _ => e.into(),
        })
    }

    /// The next frame; `None` at the end, which was found to count what came before.
    pub fn next(&mut self) -> Result<Option<Frame>, FileError> {
        let number = self.tally.frames;
        let mut head = [0; 8];
        self.fill(&mut head)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, len) = (word(0), word(4));
        if len > FRAME_MAX {
            return Err(FileError::Damaged(number));
        }
        // Memory is taken as the bytes come in: the length is not proved yet.
        let mut body = Vec::new();
        let read = (&mut self.input).take(u64::from(len)).read_to_end(&mut body)?;
        if read < len as usize {
            return Err(FileError::Truncated(number));
        }
        let mut crc = [0; 4];
        self.fill(&mut crc)?;
        if u32::from_le_bytes(crc) != checksum(number, &head, &body) {
            return Err(FileError::Damaged(number));
        }
        let frame = Frame::parse(kind, body.into()).map_err(|source| FileError::Decode { frame: number, source })?;
        if let Frame::End(said) = frame {
            if said != self.tally.totals {
                return Err(FileError::Count(said, self.tally.totals));
            }
            let mut more = [0];
            return if self.input.read(&mut more)? == 0 { Ok(None) } else { Err(FileError::Trailing) };
        }
        self.tally.note(&frame);
        Ok(Some(frame))
    }

    pub fn totals(&self) -> Totals {
        self.tally.totals
    }

    /// The number of the frame that came last.
    pub fn last(&self) -> u64 {
        self.tally.frames.saturating_sub(1)
    }
}

/// Reads a file to its end: whether it is whole, and what it holds.
///
/// # Errors
/// What is wrong with it.
pub fn check(input: impl Read) -> Result<(Head, Totals), FileError> {
    let (mut frames, head) = Frames::new(input)?;
    while frames.next()?.is_some() {}
    Ok((head, frames.totals()))
}
