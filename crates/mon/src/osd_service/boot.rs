//! An OSD comes up (Ceph: `OSDMonitor::preprocess_boot`, `prepare_boot`).

use std::collections::BTreeMap;

use messages::{ClogLevel, MOSDBoot};
use node::{ConnId, Level};
use osdmap::{WEIGHT_IN, flag, state};
use types::{EntityAddrVec, OsdId};

use crate::change::Space;
use crate::core::{Cx, Mon};

/// What a boot leads to.
enum Verdict {
    /// This very instance is up already.
    Already,
    /// Not now, or not at all.
    Refused(String),
    /// An earlier instance is up: it has to go down first.
    Replaces,
    Welcome,
}

impl Mon {
    pub(super) fn osd_boot(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: Box<MOSDBoot>) {
        let Some(session) = self.sessions.get(conn) else { return };
        let (osd, addrs) = (m.sb.whoami, session.peer.addrs.clone());
        if !session.peer.name.is_osd() || i64::from(osd) != session.peer.name.num || osd < 0 {
            return;
        }
        match self.judge_boot(osd, &addrs, &m) {
            Verdict::Already => self.send_maps(cx, conn, m.sb.current_epoch + 1),
            Verdict::Refused(why) => cx.log(Level::Info, format!("osd.{osd} may not boot: {why}")),
            Verdict::Replaces => {
                self.map().mark_down(cx.now.wall, osd);
                self.hold_message(messages::Message { tid, ..(*m).into() });
            }
            Verdict::Welcome => self.take_in(cx, osd, addrs, &m),
        }
    }

    fn judge_boot(&mut self, osd: OsdId, addrs: &EntityAddrVec, m: &MOSDBoot) -> Verdict {
        let map = self.state.osdmap.clone();
        if m.sb.cluster_fsid != self.setup.fsid {
            return Verdict::Refused(format!("it belongs to cluster {}", m.sb.cluster_fsid));
        }
        if map.is_blocklisted_any(addrs) {
            return Verdict::Refused("its address is on the blocklist".to_owned());
        }
        let uuid = map.uuid(osd);
        if map.exists(osd) && !uuid.is_zero() && uuid != m.sb.osd_fsid {
            return Verdict::Refused(format!("its uuid is {}, the map has {uuid}", m.sb.osd_fsid));
        }
        if map.is_destroyed(osd) {
            return Verdict::Refused("it is marked destroyed".to_owned());
        }
        if map.is_up(osd) && map.addrs(osd) == *addrs && map.cluster_addrs(osd) == m.cluster_addrs {
            return Verdict::Already;
        }
        if map.is_forbidden(osd, flag::NOUP, state::NOUP) {
            return Verdict::Refused("noup is set".to_owned());
        }
        if self.map().inc.new_up_client.contains_key(&osd) {
            return Verdict::Refused("it is being taken in".to_owned());
        }
        if map.is_up(osd) { Verdict::Replaces } else { Verdict::Welcome }
    }

    fn take_in(&mut self, cx: &mut Cx, osd: OsdId, addrs: EntityAddrVec, m: &MOSDBoot) {
        let base = self.state.osdmap.clone();
        let (weight, halves) = (self.config.f64("mon_osd_laggy_weight") as f32, m.boot_epoch == 0);
        let max_interval = self.config.u64("mon_osd_laggy_max_interval") as u32;
        let mark_in = self.marks_in(osd);
        let map = self.map();
        if osd >= map.max_osd() {
            map.inc.new_max_osd = Some(osd + 1);
        }
        map.inc.new_up_client.insert(osd, addrs.clone());
        map.inc.new_up_cluster.insert(osd, m.cluster_addrs.clone());
        map.inc.new_hb_back_up.insert(osd, m.hb_back_addrs.clone());
        map.inc.new_hb_front_up.insert(osd, m.hb_front_addrs.clone());
        if base.uuid(osd) != m.sb.osd_fsid {
            map.inc.new_uuid.insert(osd, m.sb.osd_fsid);
        }
        let info = base.info(osd);
        // It holds no map at all, so it lost what it had.
        if m.sb.newest_map == 0 && base.exists(osd) && info.up_from > info.lost_at {
            map.inc.new_lost.insert(osd, base.epoch);
        }
        if (m.sb.mounted, m.sb.clean_thru) > (info.last_clean_begin, info.last_clean_end) {
            map.inc.new_last_clean_interval.insert(osd, (m.sb.mounted, m.sb.clean_thru));
        }
        let xinfo = map.inc.xinfo_mut(&base, osd);
        if halves {
            xinfo.laggy_probability *= 1.0 - weight;
            xinfo.laggy_interval = (xinfo.laggy_interval as f32 * (1.0 - weight)) as u32;
        } else {
            // It was marked down though it lived: remember for how long such a thing may last.
            if !xinfo.down_stamp.is_zero() {
                let mut interval = cx.now.wall.since(xinfo.down_stamp).as_secs() as u32;
                if max_interval > 0 {
                    interval = interval.min(max_interval);
                }
                xinfo.laggy_interval = (interval as f32 * weight + xinfo.laggy_interval as f32 * (1.0 - weight)) as u32;
            }
            xinfo.laggy_probability = weight + xinfo.laggy_probability * (1.0 - weight);
        }
        xinfo.features = m.osd_features;
        if mark_in {
            let old = std::mem::take(&mut xinfo.old_weight);
            map.inc.new_weight.insert(osd, if old > 0 { old } else { WEIGHT_IN });
        }
        self.place(osd, &m.metadata);
        self.pending.put_value(Space::OsdMetadata, osd.to_string(), &m.metadata);
        self.pending.clog(ClogLevel::Info, format!("osd.{osd} {addrs} boot"));
    }

    fn marks_in(&mut self, osd: OsdId) -> bool {
        let map = &self.state.osdmap;
        let old = if map.exists(osd) { map.state(osd) } else { state::NEW };
        let wanted = self.config.bool("mon_osd_auto_mark_auto_out_in") && old & state::AUTOOUT != 0
            || self.config.bool("mon_osd_auto_mark_new_in") && old & state::NEW != 0
            || self.config.bool("mon_osd_auto_mark_in");
        wanted && !map.is_forbidden(osd, flag::NOIN, state::NOIN) && (map.weight(osd) == 0 || old & state::NEW != 0)
    }

    /// Puts an OSD that the CRUSH map does not know under its host, weighing its size in TiB, and gives one
    /// without a device class that of its disk. Real OSDs ask for both by command before they boot; for
    /// ours the boot is enough. Unlike Ceph, one that was moved elsewhere by hand stays there.
    fn place(&mut self, osd: OsdId, metadata: &BTreeMap<String, String>) {
        let mut crush = self.map().crush();
        let before = crush.clone();
        if self.osd_option(osd, "osd_crush_update_on_start") != "false" && !crush.is_held(osd) {
            let host = metadata.get("hostname").cloned().unwrap_or_else(|| self.setup.hostname.clone());
            let host = if host.is_empty() { "localhost".to_owned() } else { host };
            let place: BTreeMap<String, String> =
                [("host".to_owned(), host), ("root".to_owned(), "default".to_owned())].into();
            let weight = self.initial_weight(osd, metadata);
            if crush.create_or_move_item(osd, (weight * 65536.0) as u32, &format!("osd.{osd}"), &place).is_err() {
                return;
            }
        }
        let class = metadata.get("default_device_class").filter(|c| !c.is_empty());
        if self.osd_option(osd, "osd_class_update_on_start") != "false"
            && crush.item_class(osd).is_none()
            && let Some(class) = class
            && crush.set_device_class(osd, class).is_err()
        {
            return;
        }
        if crush != before {
            self.map().set_crush(&crush);
        }
    }

    fn initial_weight(&self, osd: OsdId, metadata: &BTreeMap<String, String>) -> f64 {
        let wanted = self.osd_option(osd, "osd_crush_initial_weight").parse().ok().filter(|w| *w >= 0.0);
        let size = ["bluestore_bdev_size", "osd_size"].iter().find_map(|k| metadata.get(*k)?.parse::<f64>().ok());
        let by_size = || size.map_or(1.0, |bytes| (bytes / (1u64 << 40) as f64).max(0.000_01));
        wanted.unwrap_or_else(by_size)
    }

    /// An option as an OSD has it: from the central configuration, else as this monitor was started.
    fn osd_option(&self, osd: OsdId, name: &str) -> String {
        let who = self.who(&format!("osd.{osd}"), "");
        self.config_for(&who).remove(name).unwrap_or_else(|| self.config.str(name).to_owned())
    }
}
