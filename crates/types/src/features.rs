//! Feature bits of `ceph_features.h`: what a peer can speak. A bit may be reused in a later
//! *incarnation*, told apart by two more bits that every peer of that age sets.

const INCARNATION_2: u64 = 1 << 57;
const INCARNATION_3: u64 = (1 << 57) | (1 << 28);

const fn bit(n: u32) -> u64 {
    1 << n
}

pub const SERVER_NAUTILUS: u64 = bit(2) | INCARNATION_3;
pub const SUBSCRIBE2: u64 = bit(4);
pub const RECONNECT_SEQ: u64 = bit(6);
pub const OBJECTLOCATOR: u64 = bit(8);
pub const PGID64: u64 = bit(9);
pub const PGPOOL3: u64 = bit(11);
pub const OSDENC: u64 = bit(13);
pub const SERVER_KRAKEN: u64 = bit(14) | INCARNATION_2;
pub const MONENC: u64 = bit(15);
pub const SERVER_OCTOPUS: u64 = bit(16) | INCARNATION_3;
pub const OSD_REPOP_MLCOD: u64 = SERVER_OCTOPUS;
pub const OS_PERF_STAT_NS: u64 = bit(17) | INCARNATION_3;
pub const CRUSH_TUNABLES: u64 = bit(18);
pub const OSD_PGLOG_HARDLIMIT: u64 = bit(19) | INCARNATION_2;
pub const SERVER_PACIFIC: u64 = bit(20) | INCARNATION_3;
pub const SERVER_LUMINOUS: u64 = bit(21) | INCARNATION_2;
pub const RESEND_ON_SPLIT: u64 = SERVER_LUMINOUS;
pub const RADOS_BACKOFF: u64 = SERVER_LUMINOUS;
pub const OSDMAP_PG_UPMAP: u64 = SERVER_LUMINOUS;
pub const CRUSH_CHOOSE_ARGS: u64 = SERVER_LUMINOUS;
pub const MSG_AUTH: u64 = bit(23);
pub const CRUSH_TUNABLES2: u64 = bit(25);
pub const SERVER_MIMIC: u64 = bit(28) | INCARNATION_2;
pub const OSDHASHPSPOOL: u64 = bit(30);
pub const OSD_CACHEPOOL: u64 = bit(35);
pub const CRUSH_V2: u64 = bit(36);
pub const OSDMAP_ENC: u64 = bit(39);
pub const CRUSH_TUNABLES3: u64 = bit(41);
pub const OSD_PRIMARY_AFFINITY: u64 = CRUSH_TUNABLES3;
pub const MSGR_KEEPALIVE2: u64 = bit(42);
pub const OSD_POOLRESEND: u64 = bit(43);
pub const OSD_FADVISE_FLAGS: u64 = bit(46);
pub const CRUSH_V4: u64 = bit(48);
pub const NEW_OSDOP_ENCODING: u64 = bit(56);
pub const MON_STATEFUL_SUB: u64 = bit(57);
pub const SERVER_JEWEL: u64 = bit(57);
pub const CRUSH_TUNABLES5: u64 = bit(58);
pub const NEW_OSDOPREPLY_ENCODING: u64 = CRUSH_TUNABLES5;
pub const MSG_ADDR2: u64 = bit(59);
pub const OSD_RECOVERY_DELETES: u64 = bit(60);
pub const CEPHX_V2: u64 = bit(61);

/// What a daemon of release 16 offers (`CEPH_FEATURES_ALL`/`CEPH_FEATURES_SUPPORTED_DEFAULT`), as
/// seen on the wire.
pub const ALL: u64 = 0x3f01_cfbd_fffd_ffff;

/// The features that fix the canonical encoding of an OSDMap in a cluster whose daemons are all of
/// release 16 (Ceph: `get_encoding_features`).
pub const CANONICAL: u64 = ALL;
