//! What a client can ask of an object: op codes, their flags, and `ceph_osd_op`.

use std::fmt;

use bytes::Bytes;
use denc::{DecodeError, Decoder, Encode, Encoder};

use crate::ids::{SnapId, Version};

macro_rules! op_codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// `CEPH_OSD_OP_*`.
        pub mod op {
            $(pub const $name: u16 = $code;)*
        }

        /// What Ceph calls the op in its logs.
        pub fn op_name(code: u16) -> &'static str {
            match code {
                $($code => $text,)*
                _ => "???",
            }
        }

        #[cfg(test)]
        const OP_CODES: &[u16] = &[$($code),*];
    };
}

op_codes! {
    READ = 0x1201, "read";
    STAT = 0x1202, "stat";
    MAPEXT = 0x1203, "mapext";
    CHECKSUM = 0x121f, "checksum";
    MASKTRUNC = 0x1204, "masktrunc";
    SPARSE_READ = 0x1205, "sparse-read";
    NOTIFY = 0x1206, "notify";
    NOTIFY_ACK = 0x1207, "notify-ack";
    ASSERT_VER = 0x1208, "assert-version";
    LIST_WATCHERS = 0x1209, "list-watchers";
    LIST_SNAPS = 0x120a, "list-snaps";
    SYNC_READ = 0x120b, "sync_read";
    WRITE = 0x2201, "write";
    WRITEFULL = 0x2202, "writefull";
    TRUNCATE = 0x2203, "truncate";
    ZERO = 0x2204, "zero";
    DELETE = 0x2205, "delete";
    APPEND = 0x2206, "append";
    STARTSYNC = 0x2207, "startsync";
    SETTRUNC = 0x2208, "settrunc";
    TRIMTRUNC = 0x2209, "trimtrunc";
    TMAPUP = 0x320a, "tmapup";
    TMAPPUT = 0x220b, "tmapput";
    TMAPGET = 0x120c, "tmapget";
    CREATE = 0x220d, "create";
    ROLLBACK = 0x220e, "rollback";
    WATCH = 0x220f, "watch";
    OMAPGETKEYS = 0x1211, "omap-get-keys";
    OMAPGETVALS = 0x1212, "omap-get-vals";
    OMAPGETHEADER = 0x1213, "omap-get-header";
    OMAPGETVALSBYKEYS = 0x1214, "omap-get-vals-by-keys";
    OMAPSETVALS = 0x2215, "omap-set-vals";
    OMAPSETHEADER = 0x2216, "omap-set-header";
    OMAPCLEAR = 0x2217, "omap-clear";
    OMAPRMKEYS = 0x2218, "omap-rm-keys";
    OMAPRMKEYRANGE = 0x222c, "omap-rm-key-range";
    OMAP_CMP = 0x1219, "omap-cmp";
    COPY_FROM = 0x221a, "copy-from";
    COPY_FROM2 = 0x222d, "copy-from2";
    UNDIRTY = 0x221c, "undirty";
    ISDIRTY = 0x121d, "isdirty";
    COPY_GET = 0x121e, "copy-get";
    CACHE_FLUSH = 0x821f, "cache-flush";
    CACHE_EVICT = 0x8220, "cache-evict";
    CACHE_TRY_FLUSH = 0x8221, "cache-try-flush";
    TMAP2OMAP = 0x3222, "tmap2omap";
    SETALLOCHINT = 0x2223, "set-alloc-hint";
    CACHE_PIN = 0x2224, "cache-pin";
    CACHE_UNPIN = 0x2225, "cache-unpin";
    WRITESAME = 0x2226, "write-same";
    CMPEXT = 0x1220, "cmpext";
    SET_REDIRECT = 0x2227, "set-redirect";
    SET_CHUNK = 0x2228, "set-chunk";
    TIER_PROMOTE = 0x2229, "tier-promote";
    UNSET_MANIFEST = 0x222a, "unset-manifest";
    TIER_FLUSH = 0x822b, "tier-flush";
    GETXATTR = 0x1301, "getxattr";
    GETXATTRS = 0x1302, "getxattrs";
    CMPXATTR = 0x1303, "cmpxattr";
    SETXATTR = 0x2301, "setxattr";
    SETXATTRS = 0x2302, "setxattrs";
    RESETXATTRS = 0x2303, "resetxattrs";
    RMXATTR = 0x2304, "rmxattr";
    PULL = 0x4001, "pull";
    PUSH = 0x4002, "push";
    BALANCEREADS = 0x4003, "balance-reads";
    UNBALANCEREADS = 0x4004, "unbalance-reads";
    SCRUB = 0x4005, "scrub";
    SCRUB_RESERVE = 0x4006, "scrub-reserve";
    SCRUB_UNRESERVE = 0x4007, "scrub-unreserve";
    SCRUB_MAP = 0x4009, "scrub-map";
    CALL = 0x1401, "call";
    PGLS = 0x1501, "pgls";
    PGLS_FILTER = 0x1502, "pgls-filter";
    PG_HITSET_LS = 0x1503, "pg-hitset-ls";
    PG_HITSET_GET = 0x1504, "pg-hitset-get";
    PGNLS = 0x1505, "pgnls";
    PGNLS_FILTER = 0x1506, "pgnls-filter";
    SCRUBLS = 0x1507, "scrubls";
}

const MODE_RD: u16 = 0x1000;
const MODE_WR: u16 = 0x2000;
const MODE_SUB: u16 = 0x4000;
const MODE: u16 = 0xf000;
const MODE_CACHE: u16 = 0x8000;
const TYPE: u16 = 0x0f00;
const TYPE_DATA: u16 = 0x0200;
const TYPE_ATTR: u16 = 0x0300;
const TYPE_EXEC: u16 = 0x0400;
const TYPE_PG: u16 = 0x0500;

macro_rules! flag_bits {
    ($(#[$doc:meta])* $module:ident; $($name:ident = $bit:literal, $text:literal;)*) => {
        $(#[$doc])*
        pub mod $module {
            $(pub const $name: u32 = 1 << $bit;)*

            /// Each bit with what Ceph calls it.
            pub const NAMES: &[(u32, &str)] = &[$(($name, $text)),*];

            /// The names of the bits that are set, joined by `+`, or `-` if none is.
            pub fn to_string(flags: u32) -> String {
                let names: Vec<&str> = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, n)| *n).collect();
                if names.is_empty() { "-".to_owned() } else { names.join("+") }
            }
        }
    };
}

flag_bits! {
    /// `CEPH_OSD_FLAG_*`: flags of a whole `MOSDOp`.
    osd_flag;
    ACK = 0, "ack";
    ONNVRAM = 1, "onnvram";
    ONDISK = 2, "ondisk";
    RETRY = 3, "retry";
    READ = 4, "read";
    WRITE = 5, "write";
    ORDERSNAP = 6, "ordersnap";
    PEERSTAT_OLD = 7, "peerstat_old";
    BALANCE_READS = 8, "balance_reads";
    PARALLELEXEC = 9, "parallelexec";
    PGOP = 10, "pgop";
    EXEC = 11, "exec";
    EXEC_PUBLIC = 12, "exec_public";
    LOCALIZE_READS = 13, "localize_reads";
    RWORDERED = 14, "rwordered";
    IGNORE_CACHE = 15, "ignore_cache";
    SKIPRWLOCKS = 16, "skiprwlocks";
    IGNORE_OVERLAY = 17, "ignore_overlay";
    FLUSH = 18, "flush";
    MAP_SNAP_CLONE = 19, "map_snap_clone";
    ENFORCE_SNAPC = 20, "enforce_snapc";
    REDIRECTED = 21, "redirected";
    KNOWN_REDIR = 22, "known_if_redirected";
    FULL_TRY = 23, "full_try";
    FULL_FORCE = 24, "full_force";
    IGNORE_REDIRECT = 25, "ignore_redirect";
    RETURNVEC = 26, "returnvec";
}

flag_bits! {
    /// `CEPH_OSD_OP_FLAG_*`: flags of one op.
    op_flag;
    EXCL = 0, "excl";
    FAILOK = 1, "failok";
    FADVISE_RANDOM = 2, "fadvise_random";
    FADVISE_SEQUENTIAL = 3, "fadvise_sequential";
    FADVISE_WILLNEED = 4, "favise_willneed";
    FADVISE_DONTNEED = 5, "fadvise_dontneed";
    FADVISE_NOCACHE = 6, "fadvise_nocache";
    WITH_REFERENCE = 7, "with_reference";
    BYPASS_CLEAN_CACHE = 8, "bypass_clean_cache";
}

/// `CEPH_OSD_CMPXATTR_OP_*`.
pub mod cmpxattr {
    pub const EQ: u8 = 1;
    pub const NE: u8 = 2;
    pub const GT: u8 = 3;
    pub const GTE: u8 = 4;
    pub const LT: u8 = 5;
    pub const LTE: u8 = 6;
    pub const MODE_STRING: u8 = 1;
    pub const MODE_U64: u8 = 2;
}

/// `CEPH_OSD_WATCH_OP_*`.
pub mod watch_op {
    pub const UNWATCH: u8 = 0;
    pub const LEGACY_WATCH: u8 = 1;
    pub const WATCH: u8 = 3;
    pub const RECONNECT: u8 = 5;
    pub const PING: u8 = 7;
}

/// `CEPH_OSD_CHECKSUM_OP_TYPE_*`.
pub mod checksum_type {
    pub const XXHASH32: u8 = 0;
    pub const XXHASH64: u8 = 1;
    pub const CRC32C: u8 = 2;
}

/// `CEPH_OSD_COPY_FROM_FLAG_*`.
pub mod copy_from_flag {
    pub const FLUSH: u8 = 1;
    pub const IGNORE_OVERLAY: u8 = 2;
    pub const IGNORE_CACHE: u8 = 4;
    pub const MAP_SNAP_CLONE: u8 = 8;
    pub const RWORDERED: u8 = 16;
    pub const TRUNCATE_SEQ: u8 = 32;
    pub const ALL: u8 = 63;
}

/// `CEPH_OSD_BACKOFF_OP_*`.
pub mod backoff_op {
    pub const BLOCK: u8 = 1;
    pub const ACK_BLOCK: u8 = 2;
    pub const UNBLOCK: u8 = 3;
}

/// What an op asks for besides its payload: the union in `ceph_osd_op`, told apart by the op code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpArgs {
    Extent {
        offset: u64,
        length: u64,
        truncate_size: u64,
        truncate_seq: u32,
    },
    Xattr {
        name_len: u32,
        value_len: u32,
        cmp_op: u8,
        cmp_mode: u8,
    },
    Cls {
        class_len: u8,
        method_len: u8,
        argc: u8,
        indata_len: u32,
    },
    Pgls {
        count: u64,
        start_epoch: u32,
    },
    Snap {
        snapid: SnapId,
    },
    Watch {
        cookie: u64,
        ver: u64,
        op: u8,
        generation: u32,
        timeout: u32,
    },
    Notify {
        cookie: u64,
    },
    AssertVer {
        unused: u64,
        ver: Version,
    },
    CopyGet {
        max: u64,
    },
    CopyFrom {
        snapid: SnapId,
        src_version: Version,
        flags: u8,
        src_fadvise_flags: u32,
    },
    HitSetGet {
        sec: u32,
        nsec: u32,
    },
    Tmap2Omap {
        flags: u8,
    },
    AllocHint {
        expected_object_size: u64,
        expected_write_size: u64,
        flags: u32,
    },
    WriteSame {
        offset: u64,
        length: u64,
        data_length: u64,
    },
    Checksum {
        offset: u64,
        length: u64,
        chunk_size: u32,
        kind: u8,
    },
    /// Ops that have no arguments, and those that we do not know: the union's bytes as they came.
    Other([u8; ARGS_SIZE]),
}

/// Bytes of the union.
pub const ARGS_SIZE: usize = 28;
/// Bytes of `ceph_osd_op`.
pub const OSD_OP_SIZE: usize = 38;

impl Default for OpArgs {
    fn default() -> Self {
        Self::Other([0; ARGS_SIZE])
    }
}

impl OpArgs {
    fn decode(code: u16, raw: [u8; ARGS_SIZE]) -> Self {
        let u64_at = |i: usize| u64::from_le_bytes(raw[i..i + 8].try_into().expect("8 bytes"));
        let u32_at = |i: usize| u32::from_le_bytes(raw[i..i + 4].try_into().expect("4 bytes"));
        match code {
            op::CHECKSUM => {
                Self::Checksum { offset: u64_at(0), length: u64_at(8), chunk_size: u32_at(16), kind: raw[20] }
            }
            op::WRITESAME => Self::WriteSame { offset: u64_at(0), length: u64_at(8), data_length: u64_at(16) },
            op::NOTIFY | op::NOTIFY_ACK => Self::Notify { cookie: u64_at(0) },
            op::ASSERT_VER => Self::AssertVer { unused: u64_at(0), ver: u64_at(8) },
            op::WATCH => Self::Watch {
                cookie: u64_at(0),
                ver: u64_at(8),
                op: raw[16],
                generation: u32_at(17),
                timeout: u32_at(21),
            },
            op::ROLLBACK => Self::Snap { snapid: u64_at(0) },
            op::COPY_GET => Self::CopyGet { max: u64_at(0) },
            op::COPY_FROM | op::COPY_FROM2 => Self::CopyFrom {
                snapid: u64_at(0),
                src_version: u64_at(8),
                flags: raw[16],
                src_fadvise_flags: u32_at(17),
            },
            op::SETALLOCHINT => {
                Self::AllocHint { expected_object_size: u64_at(0), expected_write_size: u64_at(8), flags: u32_at(16) }
            }
            op::TMAP2OMAP => Self::Tmap2Omap { flags: raw[0] },
            op::PG_HITSET_GET => Self::HitSetGet { sec: u32_at(0), nsec: u32_at(4) },
            _ if code & TYPE == TYPE_ATTR => {
                Self::Xattr { name_len: u32_at(0), value_len: u32_at(4), cmp_op: raw[8], cmp_mode: raw[9] }
            }
            op::CALL => Self::Cls { class_len: raw[0], method_len: raw[1], argc: raw[2], indata_len: u32_at(3) },
            _ if code & TYPE == TYPE_PG => Self::Pgls { count: u64_at(0), start_epoch: u32_at(8) },
            _ if uses_extent(code) => Self::Extent {
                offset: u64_at(0),
                length: u64_at(8),
                truncate_size: u64_at(16),
                truncate_seq: u32_at(24),
            },
            _ => Self::Other(raw),
        }
    }

    fn encode(&self) -> [u8; ARGS_SIZE] {
        struct Out([u8; ARGS_SIZE], usize);
        impl Out {
            fn put(mut self, bytes: &[u8]) -> Self {
                self.0[self.1..self.1 + bytes.len()].copy_from_slice(bytes);
                self.1 += bytes.len();
                self
            }
            fn u64(self, v: u64) -> Self {
                self.put(&v.to_le_bytes())
            }
            fn u32(self, v: u32) -> Self {
                self.put(&v.to_le_bytes())
            }
            fn u8(self, v: u8) -> Self {
                self.put(&[v])
            }
        }
        let o = Out([0; ARGS_SIZE], 0);
        match *self {
            Self::Extent { offset, length, truncate_size, truncate_seq } => {
                o.u64(offset).u64(length).u64(truncate_size).u32(truncate_seq)
            }
            Self::Xattr { name_len, value_len, cmp_op, cmp_mode } => {
                o.u32(name_len).u32(value_len).u8(cmp_op).u8(cmp_mode)
            }
            Self::Cls { class_len, method_len, argc, indata_len } => {
                o.u8(class_len).u8(method_len).u8(argc).u32(indata_len)
            }
            Self::Pgls { count, start_epoch } => o.u64(count).u32(start_epoch),
            Self::Snap { snapid } => o.u64(snapid),
            Self::Watch { cookie, ver, op, generation, timeout } => {
                o.u64(cookie).u64(ver).u8(op).u32(generation).u32(timeout)
            }
            Self::Notify { cookie } => o.u64(cookie),
            Self::AssertVer { unused, ver } => o.u64(unused).u64(ver),
            Self::CopyGet { max } => o.u64(max),
            Self::CopyFrom { snapid, src_version, flags, src_fadvise_flags } => {
                o.u64(snapid).u64(src_version).u8(flags).u32(src_fadvise_flags)
            }
            Self::HitSetGet { sec, nsec } => o.u32(sec).u32(nsec),
            Self::Tmap2Omap { flags } => o.u8(flags),
            Self::AllocHint { expected_object_size, expected_write_size, flags } => {
                o.u64(expected_object_size).u64(expected_write_size).u32(flags)
            }
            Self::WriteSame { offset, length, data_length } => o.u64(offset).u64(length).u64(data_length),
            Self::Checksum { offset, length, chunk_size, kind } => o.u64(offset).u64(length).u32(chunk_size).u8(kind),
            Self::Other(raw) => o.put(&raw),
        }
        .0
    }
}

/// `OSDOp`: one op of a compound operation. `indata` travels apart, behind all ops (see
/// [`OsdOp::split_data`]); an encoded op only has its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsdOp {
    /// One of [`op`].
    pub op: u16,
    /// Bits of [`op_flag`].
    pub flags: u32,
    pub args: OpArgs,
    pub indata: Bytes,
}

impl OsdOp {
    pub fn new(op: u16, args: OpArgs, indata: impl Into<Bytes>) -> Self {
        Self { op, flags: 0, args, indata: indata.into() }
    }

    /// An op on a range of the object's data.
    pub fn extent(op: u16, offset: u64, length: u64, indata: impl Into<Bytes>) -> Self {
        Self::new(op, OpArgs::Extent { offset, length, truncate_size: 0, truncate_seq: 0 }, indata)
    }

    /// A call of an object class's method.
    pub fn call(class: &str, method: &str, input: &[u8]) -> Self {
        let args = OpArgs::Cls {
            class_len: class.len() as u8,
            method_len: method.len() as u8,
            argc: 0,
            indata_len: input.len() as u32,
        };
        Self::new(op::CALL, args, [class.as_bytes(), method.as_bytes(), input].concat())
    }

    pub fn has_flag(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub fn name(&self) -> &'static str {
        op_name(self.op)
    }

    /// Ops as they stand in `MOSDOp`, their lengths in place; the data follows elsewhere, joined.
    ///
    /// # Errors
    /// If the lengths do not fit in `data`.
    pub fn split_data(ops: Vec<(Self, u32)>, data: Bytes) -> Result<Vec<Self>, DecodeError> {
        let mut data = Decoder::new(data);
        let with_data = |(op, len): (Self, u32)| Ok(Self { indata: data.take(len as usize)?, ..op });
        ops.into_iter().map(with_data).collect()
    }

    /// The payloads of all ops, joined; a single payload is shared, not copied.
    pub fn join_data(ops: &[Self]) -> Bytes {
        let mut with_data = ops.iter().filter(|o| !o.indata.is_empty());
        match (with_data.next(), with_data.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.indata.clone(),
            _ => ops.iter().map(|o| &o.indata[..]).collect::<Vec<_>>().concat().into(),
        }
    }

    /// Reads the 38 bytes; gives the op and the length of its payload.
    ///
    /// # Errors
    /// If there are fewer bytes.
    pub fn decode_head(d: &mut Decoder) -> Result<(Self, u32), DecodeError> {
        let (op, flags) = (d.u16()?, d.u32()?);
        let raw = d.slice(ARGS_SIZE)?.try_into().expect("slice gave the bytes asked for");
        let op = Self { op, flags, args: OpArgs::decode(op, raw), indata: Bytes::new() };
        Ok((op, d.u32()?))
    }

    /// Writes the 38 bytes, with a payload length that may be another's (a reply has the length of what
    /// the op returns).
    pub fn encode_head(&self, e: &mut Encoder, payload_len: u32) {
        e.u16(self.op);
        e.u32(self.flags);
        e.raw(&self.args.encode());
        e.u32(payload_len);
    }
}

/// As Ceph prints it in op descriptions: `write 0~4096 in=4096b`.
impl fmt::Display for OsdOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let text = |from: usize, len: usize| String::from_utf8_lossy(self.indata.get(from..from + len).unwrap_or(&[]));
        match self.args {
            OpArgs::Extent { offset, .. } if self.op == op::TRUNCATE => write!(f, " {offset}")?,
            OpArgs::Extent { truncate_size, truncate_seq, .. } if matches!(self.op, op::MASKTRUNC | op::TRIMTRUNC) => {
                write!(f, " {truncate_seq}@{}", truncate_size as i64)?;
            }
            OpArgs::Extent { offset, length, truncate_size, truncate_seq } if uses_extent(self.op) => {
                write!(f, " {offset}~{length}")?;
                if truncate_seq != 0 {
                    write!(f, " [{truncate_seq}@{}]", truncate_size as i64)?;
                }
                if self.flags != 0 {
                    write!(f, " [{}]", op_flag::to_string(self.flags))?;
                }
            }
            OpArgs::AssertVer { ver, .. } => write!(f, " v{ver}")?,
            OpArgs::Snap { snapid: crate::SNAP_HEAD } => f.write_str(" head")?,
            OpArgs::Snap { snapid } => write!(f, " {snapid:x}")?,
            OpArgs::Watch { cookie, op, generation, .. } => {
                write!(f, " {} cookie {cookie}", watch_op_name(op))?;
                if generation != 0 {
                    write!(f, " gen {generation}")?;
                }
            }
            OpArgs::Notify { cookie } => write!(f, " cookie {cookie}")?,
            OpArgs::CopyGet { max } => write!(f, " max {max}")?,
            OpArgs::CopyFrom { src_version, .. } if self.op == op::COPY_FROM => write!(f, " ver {src_version}")?,
            OpArgs::AllocHint { expected_object_size, expected_write_size, .. } => {
                write!(f, " object_size {expected_object_size} write_size {expected_write_size}")?;
            }
            OpArgs::Xattr { name_len, value_len, cmp_op, cmp_mode } => {
                if name_len > 0 && !self.indata.is_empty() {
                    write!(f, " {}", text(0, name_len as usize))?;
                }
                if value_len > 0 {
                    write!(f, " ({value_len})")?;
                }
                if self.op == op::CMPXATTR {
                    write!(f, " op {cmp_op} mode {cmp_mode}")?;
                }
            }
            OpArgs::Cls { class_len, method_len, .. } if class_len > 0 && !self.indata.is_empty() => {
                let (class, method) = (usize::from(class_len), usize::from(method_len));
                write!(f, " {}.{}", text(0, class), text(class, method))?;
            }
            OpArgs::Pgls { start_epoch, .. } => write!(f, " start_epoch {start_epoch}")?,
            _ => {}
        }
        if !self.indata.is_empty() {
            write!(f, " in={}b", self.indata.len())?;
        }
        Ok(())
    }
}

/// Ceph: `ceph_osd_watch_op_name`.
fn watch_op_name(code: u8) -> &'static str {
    match code {
        watch_op::UNWATCH => "unwatch",
        watch_op::WATCH => "watch",
        watch_op::RECONNECT => "reconnect",
        watch_op::PING => "ping",
        _ => "???",
    }
}

/// `ceph_osd_op` with its payload behind it would be ambiguous, so `Encode` writes the head alone.
impl Encode for OsdOp {
    fn encode(&self, e: &mut Encoder) {
        self.encode_head(e, u32::try_from(self.indata.len()).expect("no payload reaches 4 GiB"));
    }
}

/// Whether the op takes an offset and a length (Ceph: `ceph_osd_op_uses_extent`).
pub fn uses_extent(code: u16) -> bool {
    matches!(
        code,
        op::READ
            | op::MAPEXT
            | op::MASKTRUNC
            | op::SPARSE_READ
            | op::SYNC_READ
            | op::WRITE
            | op::WRITEFULL
            | op::TRUNCATE
            | op::ZERO
            | op::APPEND
            | op::TRIMTRUNC
            | op::CMPEXT
    )
}

/// Whether the op only reads. `call` depends on the method, so it is neither here nor a write.
pub fn is_read(code: u16) -> bool {
    code & MODE_RD != 0 && code != op::CALL
}

pub fn is_write(code: u16) -> bool {
    code & MODE_WR != 0
}

pub fn is_cache(code: u16) -> bool {
    code & MODE_CACHE != 0
}

pub fn is_sub(code: u16) -> bool {
    code & MODE == MODE_SUB
}

pub fn is_data(code: u16) -> bool {
    code & TYPE == TYPE_DATA
}

pub fn is_attr(code: u16) -> bool {
    code & TYPE == TYPE_ATTR
}

pub fn is_exec(code: u16) -> bool {
    code & TYPE == TYPE_EXEC
}

/// Whether the op is about a PG as a whole and names no object.
pub fn is_pg(code: u16) -> bool {
    code & TYPE == TYPE_PG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_described_as_ceph_describes_them() {
        let hint = OpArgs::AllocHint { expected_object_size: 4096, expected_write_size: 4096, flags: 0 };
        assert_eq!(
            OsdOp::new(op::SETALLOCHINT, hint, Bytes::new()).to_string(),
            "set-alloc-hint object_size 4096 write_size 4096"
        );
        let data = Bytes::from_static(&[0; 4096]);
        assert_eq!(OsdOp::extent(op::WRITE, 0, 4096, data).to_string(), "write 0~4096 in=4096b");
        assert_eq!(OsdOp::extent(op::READ, 512, 0, Bytes::new()).to_string(), "read 512~0");
        assert_eq!(OsdOp::call("lock", "get_info", b"abcd").to_string(), "call lock.get_info in=16b");
        let attr = OpArgs::Xattr { name_len: 1, value_len: 2, cmp_op: 0, cmp_mode: 0 };
        assert_eq!(OsdOp::new(op::SETXATTR, attr, &b"kvv"[..]).to_string(), "setxattr k (2) in=3b");
    }

    #[test]
    fn every_op_keeps_its_bytes_up_to_what_its_arguments_cover() {
        assert_eq!(OP_CODES.len(), 79);
        for code in OP_CODES {
            let mut e = Encoder::new(0);
            e.u16(*code);
            e.u32(5);
            e.raw(&std::array::from_fn::<u8, ARGS_SIZE, _>(|i| i as u8 + 1));
            e.u32(77);
            let bytes = e.finish();
            let (op, len) = OsdOp::decode_head(&mut Decoder::new(bytes)).unwrap();
            assert_eq!((op.flags, len), (5, 77));
            let mut e = Encoder::new(0);
            op.encode_head(&mut e, len);
            assert_eq!(e.len(), OSD_OP_SIZE);
            let again = OsdOp::decode_head(&mut Decoder::new(e.finish())).unwrap();
            assert_eq!(again.0, op);
        }
    }

    #[test]
    fn payloads_split_where_the_ops_say() {
        let ops = vec![OsdOp::extent(op::WRITE, 0, 3, "abc"), OsdOp::default(), OsdOp::extent(op::APPEND, 0, 2, "de")];
        let heads = ops.iter().map(|o| (OsdOp { indata: Bytes::new(), ..o.clone() }, o.indata.len() as u32)).collect();
        assert_eq!(OsdOp::split_data(heads, OsdOp::join_data(&ops)), Ok(ops));
        assert!(OsdOp::split_data(vec![(OsdOp::default(), u32::MAX)], Bytes::from_static(b"x")).is_err());
    }
}
