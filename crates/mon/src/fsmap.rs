//! The map of file systems: there are none, and who asks is told so rather than left to wait.

use bytes::Bytes;
use denc::Encoder;
use messages::{MFSMap, MFSMapUser};
use node::ConnId;
use types::dump::Dump;

use crate::core::{Cx, Mon};

/// It never changes.
pub const EPOCH: u32 = 1;

/// What a file system of this release would be incompatible with (Ceph: `MDS_FEATURE_INCOMPAT_BASE` and after).
const INCOMPATIBLE: [(u64, &str); 9] = [
    (1, "base v0.20"),
    (2, "client writeable ranges"),
    (3, "default file layouts on dirs"),
    (4, "dir inode in separate object"),
    (5, "mds uses versioned encoding"),
    (6, "dirfrag is stored in omap"),
    (8, "no anchor table"),
    (9, "file layout v2"),
    (10, "snaprealm v2"),
];

/// `FSMap`, as 16.2.15 encodes it.
fn encoded() -> Bytes {
    let mut e = Encoder::new(types::features::ALL);
    e.versioned(7, 6, |e| {
        e.u32(EPOCH);
        e.u64(1); // the id of the next file system
        e.i32(-1); // the one that is mounted unless another is named
        for features in [&[][..], &[], &INCOMPATIBLE] {
            e.u64(features.iter().fold(0, |mask, (bit, _)| mask | 1 << bit));
            e.u32(features.len() as u32);
            for (bit, name) in features {
                e.u64(*bit);
                e.put(&name.to_string());
            }
        }
        e.u8(1); // several file systems may be made
        for _empty in ["file systems", "roles", "standby daemons", "standby epochs"] {
            e.u32(0);
        }
        e.u8(1); // and always could
    });
    e.finish()
}

/// `FSMapUser`: the epoch, which one is mounted unless another is named, and all names.
fn encoded_for_users() -> Bytes {
    let mut e = Encoder::new(types::features::ALL);
    e.versioned(1, 1, |e| {
        e.u32(EPOCH);
        e.i32(-1);
        e.u32(0);
    });
    e.finish()
}

/// What file systems of this release would be incompatible with.
pub fn compat() -> Dump {
    let incompat = INCOMPATIBLE.into_iter().map(|(bit, name)| (format!("feature_{bit}").into(), name.into()));
    Dump::obj()
        .with("compat", Dump::obj())
        .with("ro_compat", Dump::obj())
        .with("incompat", Dump::Object(incompat.collect()))
}

pub fn compat_text() -> String {
    let names: Vec<String> = INCOMPATIBLE.iter().map(|(bit, name)| format!("{bit}={name}")).collect();
    format!("compat={{}},rocompat={{}},incompat={{{}}}", names.join(","))
}

/// As `fs dump` prints it.
pub fn dump() -> Dump {
    let flags = Dump::obj().with("enable_multiple", true).with("ever_enabled_multiple", true);
    Dump::obj()
        .with("epoch", EPOCH)
        .with("default_fscid", -1i8)
        .with("compat", compat())
        .with("feature_flags", flags)
        .with("standbys", Dump::arr("standby", Vec::<Dump>::new()))
        .with("filesystems", Dump::arr("filesystem", Vec::<Dump>::new()))
}

/// The same in words.
pub fn text() -> String {
    format!(
        "e{EPOCH}\nenable_multiple, ever_enabled_multiple: 1,1\ndefault compat: {}\nlegacy client fscid: -1\n \n\
         No filesystems configured\n",
        compat_text()
    )
}

impl Mon {
    /// Clients of metadata servers (`ceph tell mds.*`) wait for this before they say that there is none.
    pub(crate) fn send_fsmap(&mut self, cx: &mut Cx, conn: ConnId) {
        if self.wants_fsmap(conn, "fsmap") {
            cx.send(conn, MFSMap { epoch: EPOCH, map: encoded() });
        }
    }

    /// Who mounts a file system by its name finds it here, or learns that there is no such.
    pub(crate) fn send_fsmap_user(&mut self, cx: &mut Cx, conn: ConnId) {
        if self.wants_fsmap(conn, "fsmap.user") {
            cx.send(conn, MFSMapUser { epoch: EPOCH, map: encoded_for_users() });
        }
    }

    fn wants_fsmap(&mut self, conn: ConnId, what: &str) -> bool {
        let Some(session) = self.sessions.get_mut(conn) else { return false };
        let wants = session.wants(what, EPOCH.into()).is_some();
        if wants {
            session.sent(what, EPOCH.into());
        }
        wants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_map_is_ceph_s_byte_for_byte() {
        // Recorded from 16.2.15, but for its epoch 2.
        let recorded = "070668010000020000000100000000000000ffffffff0000000000000000000000000000000000000000000000007e07000000000000\
            0900000001000000000000000a000000626173652076302e3230020000000000000017000000636c69656e7420777269746561626c65207261\
            6e67657303000000000000001c00000064656661756c742066696c65206c61796f757473206f6e206469727304000000000000001c00000064\
            697220696e6f646520696e207365706172617465206f626a65637405000000000000001b0000006d647320757365732076657273696f6e6564\
            20656e636f64696e67060000000000000019000000646972667261672069732073746f72656420696e206f6d617008000000000000000f0000\
            006e6f20616e63686f72207461626c6509000000000000000e00000066696c65206c61796f75742076320a000000000000000c000000736e61\
            707265616c6d207632010000000000000000000000000000000001";
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&encoded()), recorded.replacen("02000000", "01000000", 1));
    }

    #[test]
    fn the_empty_map_for_users_is_ceph_s_byte_for_byte() {
        // Recorded from 16.2.15, but for its epoch 9, together with the message's own epoch.
        let recorded: [u8; 18] = [1, 1, 12, 0, 0, 0, 9, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0];
        let mut ours = encoded_for_users().to_vec();
        ours[6] = 9;
        assert_eq!(ours, recorded);
    }
}
