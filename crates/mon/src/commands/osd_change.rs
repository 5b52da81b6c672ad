//! Commands that change the OSD map; pools, CRUSH and placement by hand aside.

use osdmap::{Release, WEIGHT_IN, flag, state};
use types::{AddrType, EntityAddr, OsdId, UTime, Uuid, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail};
use crate::change::Space;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd set" => set,
        "osd unset" => unset,
        "osd pause" => pause,
        "osd unpause" => unpause,
        "osd out" => out,
        "osd in" => in_,
        "osd down" => down,
        "osd stop" => down,
        "osd rm" => rm,
        "osd add-noup" | "osd add-nodown" | "osd add-noin" | "osd add-noout" | "osd rm-noup" | "osd rm-nodown"
        | "osd rm-noin" | "osd rm-noout" => state_bits,
        "osd set-group" | "osd unset-group" => group,
        "osd reweight" => reweight,
        "osd reweightn" => reweightn,
        "osd primary-affinity" => primary_affinity,
        "osd lost" => lost,
        "osd create" => create,
        "osd new" => new,
        "osd destroy-actual" => destroy,
        "osd purge-actual" | "osd purge-new" => purge,
        "osd blocklist" | "osd blacklist" => blocklist,
        "osd blocklist clear" | "osd blacklist clear" => blocklist_clear,
        "osd setmaxosd" => setmaxosd,
        "osd set-full-ratio" | "osd set-backfillfull-ratio" | "osd set-nearfull-ratio" => ratio,
        "osd set-require-min-compat-client" => min_compat,
        "osd require-osd-release" => require_release,
        "osd erasure-code-profile set" => profile_set,
        "osd erasure-code-profile rm" => profile_rm,
        _ => return None,
    })
}

// --- flags of the map

fn flags_named(key: &str) -> Option<u32> {
    match key {
        "pause" => Some(flag::PAUSERD | flag::PAUSEWR),
        other => flag::from_name(other),
    }
}

fn set_flag(c: &mut Cmd, key: &str, on: bool) -> CmdResult {
    let Some(bits) = flags_named(key) else { return fail(errno::EINVAL, format!("unrecognized flag '{key}'")) };
    c.mon.map().set_flag(bits, on);
    let names = flag::string(bits);
    Ok(Reply::says(format!("{names} is {}", if on { "set" } else { "unset" })))
}

fn set(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    set_flag(c, &key, true)
}

fn unset(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    set_flag(c, &key, false)
}

fn pause(c: &mut Cmd) -> CmdResult {
    set_flag(c, "pause", true)
}

fn unpause(c: &mut Cmd) -> CmdResult {
    set_flag(c, "pause", false)
}

// --- in, out, down

/// The OSDs of `ids`, where `any`, `all` or `*` stand for those that `all` chooses.
fn wanted(c: &mut Cmd, all: impl Fn(&crate::osd_service::PendingMap, OsdId) -> bool) -> Result<Vec<OsdId>, Fail> {
    let ids = c.args.list("ids");
    if ids.iter().any(|id| matches!(id.as_str(), "any" | "all" | "*")) {
        let map = c.mon.map();
        return Ok(map.osds().filter(|osd| all(map, *osd)).collect());
    }
    numbered(c)
}

/// The OSDs of `ids`, all of them by number.
fn numbered(c: &Cmd) -> Result<Vec<OsdId>, Fail> {
    let number = |text: String| {
        let none = || Fail(errno::EINVAL, format!("{}invalid osd id-1", super::crush::no_integer(&text)));
        super::parse_osd(&text).ok_or_else(none)
    };
    c.args.list("ids").into_iter().map(number).collect()
}

/// Does something to each OSD that exists, and joins what is said of each.
fn each(c: &mut Cmd, osds: Vec<OsdId>, mut act: impl FnMut(&mut Cmd, OsdId) -> String) -> CmdResult {
    let mut said = String::new();
    for osd in osds {
        if c.mon.map().exists(osd) {
            said.push_str(&act(c, osd));
        } else {
            said.push_str(&format!("osd.{osd} does not exist. "));
        }
    }
    Ok(Reply::says(said))
}

fn out(c: &mut Cmd) -> CmdResult {
    let osds = wanted(c, |map, osd| map.weight(osd) > 0)?;
    each(c, osds, |c, osd| {
        let base = c.mon.state.osdmap.clone();
        let map = c.mon.map();
        if map.weight(osd) == 0 {
            return format!("osd.{osd} is already out. ");
        }
        map.inc.new_weight.insert(osd, 0);
        if map.state(osd) & state::AUTOOUT != 0 {
            map.set_state(osd, state::AUTOOUT, false);
        }
        // Taken out by a person, so it does not come back with its old weight by itself.
        if base.xinfo(osd).old_weight > 0 {
            map.inc.xinfo_mut(&base, osd).old_weight = 0;
        }
        format!("marked out osd.{osd}. ")
    })
}

fn in_(c: &mut Cmd) -> CmdResult {
    let osds = wanted(c, |map, osd| map.weight(osd) == 0)?;
    each(c, osds, |c, osd| {
        let base = c.mon.state.osdmap.clone();
        let map = c.mon.map();
        if map.weight(osd) > 0 {
            return format!("osd.{osd} is already in. ");
        }
        let old = base.xinfo(osd).old_weight;
        map.inc.new_weight.insert(osd, if old > 0 { old } else { WEIGHT_IN });
        if old > 0 {
            map.inc.xinfo_mut(&base, osd).old_weight = 0;
        }
        format!("marked in osd.{osd}. ")
    })
}

fn down(c: &mut Cmd) -> CmdResult {
    let dead = c.args.flag("definitely_dead");
    let stop = c.args.prefix() == "osd stop";
    let osds = wanted(c, |map, osd| map.is_up(osd))?;
    each(c, osds, |c, osd| {
        let (now, base) = (c.cx.now.wall, c.mon.state.osdmap.clone());
        let map = c.mon.map();
        if !map.is_up(osd) {
            return format!("osd.{osd} is already down. ");
        }
        map.mark_down(now, osd);
        if stop {
            map.set_state(osd, state::STOP, true);
            return format!("stop down osd.{osd}. ");
        }
        if dead {
            map.inc.xinfo_mut(&base, osd).dead_epoch = base.epoch;
            return format!("marked down and dead osd.{osd}. ");
        }
        format!("marked down osd.{osd}. ")
    })
}

fn rm(c: &mut Cmd) -> CmdResult {
    let osds = numbered(c)?;
    if let Some(osd) = osds.iter().find(|osd| c.mon.map().is_up(**osd)) {
        return fail(errno::EBUSY, format!("osd.{osd} is still up; must be down before removal. "));
    }
    let mut first = true;
    each(c, osds, |c, osd| {
        let state = c.mon.map().state(osd);
        c.mon.map().flip(osd, state);
        c.mon.pending.rm(Space::OsdMetadata, osd.to_string());
        let lead = if std::mem::take(&mut first) { "removed" } else { "," };
        format!("{lead} osd.{osd}")
    })
}

fn bits_named(name: &str) -> Option<u32> {
    match name {
        "noup" => Some(state::NOUP),
        "nodown" => Some(state::NODOWN),
        "noin" => Some(state::NOIN),
        "noout" => Some(state::NOOUT),
        _ => None,
    }
}

/// `osd add-noup IDS` and its kin: `osd set-group` of one flag, of an older time.
fn state_bits(c: &mut Cmd) -> CmdResult {
    let prefix = c.args.prefix().to_owned();
    let (verb, name) = prefix.trim_start_matches("osd ").split_once('-').unwrap_or_default();
    let bits = bits_named(name).unwrap_or(0);
    group_bits(c, "ids", bits, verb == "add")
}

/// `osd set-group FLAGS WHO…`: of OSDs, of CRUSH buckets, of device classes.
fn group(c: &mut Cmd) -> CmdResult {
    let on = c.args.prefix() == "osd set-group";
    let mut bits = 0;
    for name in c.arg("flags")?.split(',') {
        let none = || format!("unrecognized flag '{name}', must be one of {{noup,nodown,noin,noout}}");
        bits |= bits_named(name.trim()).ok_or_else(|| Fail(errno::EINVAL, none()))?;
    }
    group_bits(c, "who", bits, on)
}

fn group_bits(c: &mut Cmd, arg: &str, bits: u32, on: bool) -> CmdResult {
    let who = c.args.list(arg);
    if who.first().is_some_and(|who| matches!(who.as_str(), "all" | "any" | "*")) {
        let all: Vec<OsdId> = c.mon.map().osds().collect();
        all.into_iter().for_each(|osd| c.mon.map().set_state(osd, bits, on));
        return Ok(Reply::default());
    }
    let base = c.mon.state.osdmap.clone();
    let change = |old: u32| if on { old | bits } else { old & !bits };
    let mut said = String::new();
    for who in who {
        if let Some(osd) = super::parse_osd(&who) {
            if base.exists(osd) {
                c.mon.map().set_state(osd, bits, on);
            } else {
                said.push_str(&format!("osd.{osd} does not exist. "));
            }
        } else if let Some(id) = base.crush.item_id(&who) {
            let flags = &mut c.mon.map().inc.new_crush_node_flags;
            let old = flags.get(&id).or(base.crush_node_flags.get(&id)).copied().unwrap_or(0);
            flags.insert(id, change(old));
        } else if let Some(class) = base.crush.class_id(&who) {
            let flags = &mut c.mon.map().inc.new_device_class_flags;
            let old = flags.get(&class).or(base.device_class_flags.get(&class)).copied().unwrap_or(0);
            flags.insert(class, change(old));
        } else {
            return fail(errno::EINVAL, format!("unable to parse osd id or crush node or device class: \"{who}\". "));
        }
    }
    Ok(Reply::says(said))
}

// --- weights

fn fixed(weight: f64) -> u32 {
    (weight * 65536.0) as u32
}

fn existing(c: &mut Cmd, name: &str) -> Result<OsdId, Fail> {
    let osd = c.osd_arg(name)?;
    if c.mon.map().exists(osd) { Ok(osd) } else { fail(errno::ENOENT, format!("osd.{osd} does not exist")) }
}

fn weight_arg(c: &Cmd) -> Result<f64, Fail> {
    let weight = c.args.f64("weight").filter(|w| (0.0..=1.0).contains(w));
    weight.ok_or_else(|| Fail(errno::EINVAL, "weight must be in the range [0..1]".to_owned()))
}

fn reweight(c: &mut Cmd) -> CmdResult {
    let osd = existing(c, "id")?;
    let weight = weight_arg(c)?;
    let ww = fixed(weight);
    c.mon.map().inc.new_weight.insert(osd, ww);
    Ok(Reply::says(format!("reweighted osd.{osd} to {} ({ww:x})", types::dump::general_float(weight, 6))))
}

/// `{"ID": "WEIGHT", …}`, weights as 16.16 integers; nothing is changed unless all of it makes sense.
fn reweightn(c: &mut Cmd) -> CmdResult {
    let text = c.arg("weights")?;
    let refused = |errno| Fail(errno, format!("unable to parse 'weights' value '{text}'"));
    let unable = || refused(errno::EINVAL);
    let args = types::command::Args::parse(&[text.replace('\'', "\"")]).map_err(|_| unable())?;
    let mut weights = std::collections::BTreeMap::new();
    for (id, value) in args.entries() {
        let osd = super::parse_osd(id).ok_or_else(unable)?;
        if !c.mon.state.osdmap.exists(osd) {
            return Err(refused(errno::ENOENT));
        }
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let weight = number.and_then(|w| u32::try_from(w).ok()).ok_or_else(unable)?;
        weights.insert(osd, weight);
    }
    for (osd, weight) in weights {
        c.mon.map().inc.new_weight.insert(osd, weight);
    }
    Ok(Reply::default())
}

fn primary_affinity(c: &mut Cmd) -> CmdResult {
    let osd = existing(c, "id")?;
    let weight = weight_arg(c)?;
    c.mon.map().inc.new_primary_affinity.insert(osd, fixed(weight));
    let shown = types::dump::general_float(weight, 6);
    Ok(Reply::says(format!("set osd.{osd} primary-affinity to {shown} ({:x})", fixed(weight))))
}

// --- OSDs come and go

fn lost(c: &mut Cmd) -> CmdResult {
    if !c.args.flag("yes_i_really_mean_it") {
        let mut text = "are you SURE?  this might mean real, permanent data loss.  pass --yes-i-really-mean-it if you \
                        really do."
            .to_owned();
        if let Some(osd) = c.osd_arg("id").ok().filter(|osd| c.mon.map().exists(*osd)) {
            text.push_str(&c.mon.what_goes_with(osd));
        }
        return fail(errno::EPERM, text);
    }
    let osd = existing(c, "id")?;
    if c.mon.map().is_up(osd) {
        return fail(errno::EBUSY, format!("osd.{osd} is not down"));
    }
    let down_at = c.mon.state.osdmap.info(osd).down_at;
    c.mon.map().inc.new_lost.insert(osd, down_at);
    Ok(Reply::says(format!("marked osd lost in epoch {down_at}")))
}

fn uuid_arg(c: &Cmd) -> Result<Option<Uuid>, Fail> {
    let Some(text) = c.args.text("uuid") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Fail(errno::EINVAL, format!("invalid uuid '{text}'")))
}

/// The id of a new OSD: the one asked for, the one with this uuid, or the first that is free.
fn allocate(c: &mut Cmd, uuid: Option<Uuid>) -> Result<OsdId, Fail> {
    let base = c.mon.state.osdmap.clone();
    let asked = match c.args.has("id") {
        true => Some(c.osd_arg("id")?),
        false => None,
    };
    let pending = uuid.and_then(|u| c.mon.map().inc.new_uuid.iter().find(|(_, v)| **v == u).map(|(osd, _)| *osd));
    if let Some(osd) = uuid.and_then(|u| base.identify_osd(u)).or(pending) {
        return match asked.filter(|a| *a != osd) {
            Some(_) => {
                fail(errno::EEXIST, format!("uuid {} already in use for different id {osd}", uuid.unwrap_or_default()))
            }
            None => Ok(osd),
        };
    }
    let map = c.mon.map();
    let osd = match asked {
        Some(osd) if map.exists(osd) && map.state(osd) & state::DESTROYED == 0 => {
            let uuid = uuid.unwrap_or_default();
            return fail(errno::EINVAL, format!("id {osd} already in use and does not match uuid {uuid}"));
        }
        Some(osd) => osd,
        None => (0..).find(|osd| !map.exists(*osd)).expect("there is no end of ids"),
    };
    if osd >= map.max_osd() {
        map.inc.new_max_osd = Some(osd + 1);
    }
    if map.state(osd) & state::DESTROYED != 0 {
        map.set_state(osd, state::DESTROYED, false);
    } else {
        map.inc.new_weight.insert(osd, WEIGHT_IN);
    }
    map.set_state(osd, state::EXISTS | state::NEW, true);
    if let Some(uuid) = uuid {
        map.inc.new_uuid.insert(osd, uuid);
    }
    Ok(osd)
}

fn create(c: &mut Cmd) -> CmdResult {
    let uuid = uuid_arg(c)?;
    let osd = allocate(c, uuid)?;
    Ok(created(c, osd))
}

fn created(c: &Cmd, osd: OsdId) -> Reply {
    c.dump_or("created_osd", || types::dump::Dump::obj().with("osdid", osd), || format!("{osd}\n"))
}

fn new(c: &mut Cmd) -> CmdResult {
    let uuid = uuid_arg(c)?;
    if uuid.is_none_or(Uuid::is_zero) {
        return fail(errno::EINVAL, "uuid must be given");
    }
    let osd = allocate(c, uuid)?;
    Ok(created(c, osd))
}

/// What `osd destroy-actual`, `osd purge-actual` and `osd purge-new` ask for first: an OSD that exists and
/// is down, and to be sure. `Ok(Err(reply))`: there is nothing to do.
fn going(c: &mut Cmd) -> Result<Result<OsdId, Reply>, Fail> {
    let osd = c.osd_arg("id")?;
    if !c.args.flag("yes_i_really_mean_it") {
        let mut text =
            "Are you SURE?  Did you verify with 'ceph osd safe-to-destroy'?  This will mean real, permanent \
                        data loss, as well as deletion of cephx and lockbox keys. Pass --yes-i-really-mean-it if you \
                        really do."
                .to_owned();
        text.push_str(&c.mon.what_goes_with(osd));
        return fail(errno::EPERM, text);
    }
    let map = c.mon.map();
    if !map.exists(osd) {
        return Ok(Err(Reply::says(format!("osd.{osd} does not exist"))));
    }
    if map.is_up(osd) {
        return fail(errno::EBUSY, format!("osd.{osd} is not `down`."));
    }
    Ok(Ok(osd))
}

fn destroy(c: &mut Cmd) -> CmdResult {
    let osd = match going(c)? {
        Ok(osd) => osd,
        Err(nothing) => return Ok(nothing),
    };
    let map = c.mon.map();
    map.set_state(osd, state::DESTROYED, true);
    map.inc.new_uuid.insert(osd, Uuid::default());
    c.mon.pending.rm(Space::Auth, format!("osd.{osd}"));
    Ok(Reply::says(format!("destroyed osd.{osd}")))
}

fn purge(c: &mut Cmd) -> CmdResult {
    let osd = match going(c)? {
        Ok(osd) => osd,
        Err(nothing) => return Ok(nothing),
    };
    let map = c.mon.map();
    if c.args.prefix() == "osd purge-new" && map.state(osd) & state::NEW == 0 {
        return fail(errno::EPERM, format!("osd.{osd} is not new"));
    }
    let mut crush = map.crush();
    if crush.item_exists(osd) && crush.remove_item(osd, false).is_ok() {
        map.set_crush(&crush);
    }
    let state = map.state(osd);
    map.flip(osd, state);
    c.mon.pending.rm(Space::OsdMetadata, osd.to_string());
    c.mon.pending.rm(Space::Auth, format!("osd.{osd}"));
    Ok(Reply::says(format!("purged osd.{osd}")))
}

fn setmaxosd(c: &mut Cmd) -> CmdResult {
    let asked = c.args.i64("newmax").unwrap_or(-1);
    let new = OsdId::try_from(asked).unwrap_or(-1);
    let most = c.mon.config.i64("mon_max_osd");
    if new < 0 || i64::from(new) > most {
        return fail(errno::ERANGE, format!("cannot set max_osd to {asked} which is > conf.mon_max_osd ({most})"));
    }
    let map = c.mon.map();
    if let Some(osd) = (new..map.max_osd()).find(|osd| map.exists(*osd)) {
        return fail(
            errno::EBUSY,
            format!("cannot shrink max_osd to {new} because osd.{osd} (and possibly others) still in use"),
        );
    }
    map.inc.new_max_osd = Some(new);
    Ok(Reply::says(format!("set new max_osd = {new}")))
}

// --- the blocklist

fn blocklist(c: &mut Cmd) -> CmdResult {
    let text = c.arg("addr")?;
    let op = c.args.text("blocklistop").or_else(|| c.args.text("blacklistop")).unwrap_or_default();
    let range = c.args.has("range");
    let Some(mut addr) = EntityAddr::parse(&text, AddrType::Any) else {
        return fail(errno::EINVAL, format!("unable to parse address {text}"));
    };
    addr.kind = if range { AddrType::Cidr } else { AddrType::Any };
    let named = if range { format!("cidr:{}", addr.legacy_str()) } else { addr.legacy_str() };
    let base = c.mon.state.osdmap.clone();
    let map = c.mon.map();
    let (new, old, has) = if range {
        (&mut map.inc.new_range_blocklist, &mut map.inc.old_range_blocklist, base.blocklist.ranges.contains_key(&addr))
    } else {
        (&mut map.inc.new_blocklist, &mut map.inc.old_blocklist, base.blocklist.entries.contains_key(&addr))
    };
    match op.as_str() {
        "add" => {
            let secs = c.args.f64("expire").unwrap_or_else(|| c.mon.config.f64("mon_osd_blocklist_default_expire"));
            let until = plus(c.cx.now.wall, secs);
            let map = c.mon.map();
            let new = if range { &mut map.inc.new_range_blocklist } else { &mut map.inc.new_blocklist };
            new.insert(addr, until);
            let shown = types::dump::general_float(secs, 6);
            Ok(Reply::says(format!("blocklisting {named} until {until} ({shown} sec)")))
        }
        "rm" => {
            let pending = new.remove(&addr).is_some();
            if !has && !pending {
                return Ok(Reply::says(format!("{named} isn't blocklisted")));
            }
            if has {
                old.push(addr);
            }
            Ok(Reply::says(format!("un-blocklisting {named}")))
        }
        _ => fail(errno::EINVAL, format!("unrecognized operation '{op}'")),
    }
}

/// At the most the last moment that there is a stamp for: who blocks for ever does not mean not at all.
fn plus(now: UTime, secs: f64) -> UTime {
    let last = UTime { sec: u32::MAX, nsec: 0 }.to_duration();
    let span = std::time::Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(last);
    UTime::from_duration(now.to_duration().saturating_add(span).min(last))
}

fn blocklist_clear(c: &mut Cmd) -> CmdResult {
    let base = c.mon.state.osdmap.clone();
    let map = c.mon.map();
    map.inc.new_blocklist.clear();
    map.inc.new_range_blocklist.clear();
    map.inc.old_blocklist = base.blocklist.entries.keys().copied().collect();
    map.inc.old_range_blocklist = base.blocklist.ranges.keys().copied().collect();
    Ok(Reply::says(" removed all blocklist entries"))
}

// --- settings of the map

fn ratio(c: &mut Cmd) -> CmdResult {
    let value = c.args.f64("ratio").filter(|r| (0.0..=1.0).contains(r));
    let value = value.ok_or_else(|| Fail(errno::EINVAL, "ratio must be between 0 and 1".to_owned()))? as f32;
    let prefix = c.args.prefix().to_owned();
    let map = c.mon.map();
    match prefix.as_str() {
        "osd set-full-ratio" => map.inc.new_full_ratio = Some(value),
        "osd set-backfillfull-ratio" => map.inc.new_backfillfull_ratio = Some(value),
        _ => map.inc.new_nearfull_ratio = Some(value),
    }
    Ok(Reply::says(format!("{prefix} {}", types::dump::general_float(value.into(), 6))))
}

fn min_compat(c: &mut Cmd) -> CmdResult {
    let name = c.arg("version")?;
    // What comes after the release that we speak is not known to it.
    let Some(release) = Release::from_name(&name).filter(|release| *release <= Release::PACIFIC) else {
        return fail(errno::EINVAL, format!("version {name} is not recognized"));
    };
    let needed = c.mon.state.osdmap.min_compat_client();
    if release < needed {
        let text = format!(
            "osdmap current utilizes features that require {needed}; cannot set require_min_compat_client below that to {release}"
        );
        return fail(errno::EPERM, text);
    }
    c.mon.map().inc.new_require_min_compat_client = Some(release);
    Ok(Reply::says(format!("set require_min_compat_client to {release}")))
}

fn require_release(c: &mut Cmd) -> CmdResult {
    let name = c.arg("release")?;
    let Some(release) = Release::from_name(&name) else {
        return fail(errno::EINVAL, format!("unrecognized release {name}"));
    };
    let now = c.mon.state.osdmap.require_osd_release;
    if release < now {
        return fail(errno::EPERM, "require_osd_release cannot be lowered once it has been set");
    }
    if release > now {
        c.mon.map().inc.new_require_osd_release = Some(release);
    }
    Ok(Reply::default())
}

/// What a profile of the default plugin has besides what was asked for (as recorded).
const PROFILE_DEFAULTS: [(&str, &str); 7] = [
    ("crush-device-class", ""),
    ("crush-failure-domain", "host"),
    ("crush-root", "default"),
    ("jerasure-per-chunk-alignment", "false"),
    ("plugin", "jerasure"),
    ("technique", "reed_sol_van"),
    ("w", "8"),
];

/// Profiles are kept for the erasure-coded pools to come; none can be made yet.
fn profile_set(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let mut profile: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for pair in c.args.list("profile") {
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        profile.insert(key.to_owned(), value.to_owned());
    }
    if profile.get("plugin").is_none_or(|p| p == "jerasure") {
        for (key, value) in PROFILE_DEFAULTS {
            profile.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        profile.entry("k".to_owned()).or_insert_with(|| "2".to_owned());
        profile.entry("m".to_owned()).or_insert_with(|| "2".to_owned());
    }
    let base = c.mon.state.osdmap.clone();
    let known = c.mon.map().inc.new_erasure_code_profiles.get(&name).or(base.erasure_code_profiles.get(&name)).cloned();
    match known {
        Some(old) if old == profile => return Ok(Reply::default()),
        Some(old) if !c.args.flag("force") => {
            let shown = |p: &std::collections::BTreeMap<String, String>| {
                let pairs: Vec<String> = p.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{{{}}}", pairs.join(","))
            };
            let text = format!(
                "will not override erasure code profile {name} because the existing profile {} is different from the \
                 proposed profile {}",
                shown(&old),
                shown(&profile)
            );
            return fail(errno::EPERM, text);
        }
        _ => {}
    }
    c.mon.map().inc.new_erasure_code_profiles.insert(name, profile);
    Ok(Reply::default())
}

fn profile_rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let base = c.mon.state.osdmap.clone();
    if let Some((id, _)) = base.pools.iter().find(|(_, p)| p.erasure_code_profile == name) {
        let pool = base.pool_name(*id).unwrap_or_default();
        return fail(errno::EBUSY, format!("{pool} pool(s) are using the erasure code profile '{name}'"));
    }
    if !base.erasure_code_profiles.contains_key(&name) {
        return Ok(Reply::says(format!("erasure-code-profile {name} does not exist")));
    }
    c.mon.map().inc.old_erasure_code_profiles.push(name);
    Ok(Reply::default())
}
