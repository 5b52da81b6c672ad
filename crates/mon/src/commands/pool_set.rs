//! A pool's settings: `osd pool get`, `osd pool set`.

use types::dump::Dump;
use types::pool_opts::{POOL_OPTS, PoolOptType, PoolOptValue};
use types::{PgPool, PoolId, errno, pool};

use super::pool::named;
use super::{Cmd, CmdResult, Fail, Reply, fail};
use crate::osd_service::autoscale_mode;

/// Settings that are flags of the pool.
const FLAGS: [(&str, u64); 7] = [
    ("hashpspool", pool::flag::HASHPSPOOL),
    ("nodelete", pool::flag::NODELETE),
    ("nopgchange", pool::flag::NOPGCHANGE),
    ("nosizechange", pool::flag::NOSIZECHANGE),
    ("write_fadvise_dontneed", pool::flag::WRITE_FADVISE_DONTNEED),
    ("noscrub", pool::flag::NOSCRUB),
    ("nodeep-scrub", pool::flag::NODEEP_SCRUB),
];

/// What `get all` shows, in this order, as far as the pool has it.
const PLAIN: [&str; 16] = [
    "size",
    "min_size",
    "pg_num",
    "pgp_num",
    "crush_rule",
    "hashpspool",
    "nodelete",
    "nopgchange",
    "nosizechange",
    "write_fadvise_dontneed",
    "noscrub",
    "nodeep-scrub",
    "use_gmt_hitset",
    "erasure_code_profile",
    "fast_read",
    "pg_autoscale_mode",
];

/// What only pools that are cache tiers have.
const TIER: [&str; 14] = [
    "hit_set_type",
    "hit_set_period",
    "hit_set_count",
    "hit_set_fpp",
    "target_max_objects",
    "target_max_bytes",
    "cache_target_dirty_ratio",
    "cache_target_dirty_high_ratio",
    "cache_target_full_ratio",
    "cache_min_flush_age",
    "cache_min_evict_age",
    "min_read_recency_for_promote",
    "min_write_recency_for_promote",
    "hit_set_grade_decay_rate",
];

fn option_value(value: &PoolOptValue) -> Dump {
    match value {
        PoolOptValue::Str(s) => s.as_str().into(),
        PoolOptValue::Int(i) => (*i).into(),
        PoolOptValue::Double(f) => (*f).into(),
    }
}

/// One setting; `None` if this pool does not have it.
fn value(c: &Cmd, p: &PgPool, var: &str) -> Option<Dump> {
    if let Some((_, flag)) = FLAGS.iter().find(|(name, _)| *name == var) {
        return Some(p.has_flag(*flag).into());
    }
    Some(match var {
        "size" => p.size.into(),
        "min_size" => p.min_size.into(),
        "pg_num" => p.pg_num.into(),
        "pgp_num" => p.pgp_num.into(),
        "crush_rule" => {
            let name = c.mon.state.osdmap.crush.rule_name(p.crush_rule.into()).map(str::to_owned);
            name.unwrap_or_else(|| p.crush_rule.to_string()).into()
        }
        "use_gmt_hitset" => p.use_gmt_hitset.into(),
        "erasure_code_profile" if p.is_erasure() => p.erasure_code_profile.as_str().into(),
        "fast_read" => u8::from(p.fast_read).into(),
        "pg_autoscale_mode" => ["off", "warn", "on"].get(usize::from(p.pg_autoscale_mode)).copied()?.into(),
        "bulk" => false.into(),
        "allow_ec_overwrites" if p.is_erasure() => p.allows_ecoverwrites().into(),
        "csum_type" => match p.opts.get(var)? {
            PoolOptValue::Int(n) => CSUM_TYPES.get(usize::try_from(*n - 1).ok()?).copied()?.into(),
            other => option_value(other),
        },
        other => option_value(p.opts.get(other)?),
    })
}

/// Plain text shows some booleans as numbers.
fn text_of(var: &str, value: &Dump) -> String {
    match (var, value) {
        ("use_gmt_hitset", Dump::Bool(b)) => u8::from(*b).to_string(),
        (_, Dump::Str(s)) => s.clone(),
        (_, Dump::Float(f)) => types::dump::general_float(*f, 6),
        (_, v) => v.to_json(),
    }
}

pub fn get(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let var = c.arg("var")?;
    let map = c.mon.state.osdmap.clone();
    let Some(p) = map.pool(id) else { return fail(errno::ENOENT, format!("unrecognized pool '{name}'")) };
    if TIER.contains(&var.as_str()) && !p.is_tier() {
        return fail(errno::EACCES, "(13) Permission denied");
    }
    if !p.is_erasure() && (var == "erasure_code_profile" || var == "allow_ec_overwrites") {
        return fail(errno::EACCES, format!("pool '{name}' is not a erasure pool: variable not applicable"));
    }
    let names: Vec<&str> = match var.as_str() {
        "all" => PLAIN.into_iter().chain(POOL_OPTS.iter().map(|(n, _, _)| *n)).chain(["bulk"]).collect(),
        one => vec![one],
    };
    let found: Vec<(&str, Dump)> = names.iter().filter_map(|n| Some((*n, value(c, p, n)?))).collect();
    if found.is_empty() {
        return fail(errno::ENOENT, format!("option '{var}' is not set on pool '{name}'"));
    }
    let tree = || {
        let mut d = Dump::obj().with("pool", name.as_str()).with("pool_id", id);
        found.iter().for_each(|(n, v)| d.put((*n).to_owned(), v.clone()));
        d
    };
    Ok(c.dump_or("pool", tree, || found.iter().map(|(n, v)| format!("{n}: {}\n", text_of(n, v))).collect()))
}

fn whole(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

pub fn set(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let (var, val) = (c.arg("var")?, c.arg("val")?);
    let p = c.mon.map().pool(id).expect("it was found by name").clone();
    if TIER.contains(&var.as_str()) && !p.is_tier() {
        return fail(errno::EACCES, format!("pool '{name}' is not a tier pool: variable not applicable"));
    }
    let number = || number(&val, "integer");
    if let Some((_, flag)) = FLAGS.iter().find(|(n, _)| *n == var) {
        return set_flag(c, id, &var, *flag, &val);
    }
    match var.as_str() {
        "size" => set_size(c, id, &p, number()?)?,
        "min_size" => set_min_size(c, id, &p, number()?)?,
        "pg_num" => set_pg_num(c, id, &p, number()?)?,
        "pgp_num" => set_pgp_num(c, id, &p, number()?)?,
        "pg_num_actual" => c.mon.set_pg_num_actual(id, number()?)?,
        "pgp_num_actual" => c.mon.set_pgp_num_actual(id, number()?)?,
        "crush_rule" => {
            let crush = c.mon.map().crush();
            let rule = crush.rule_id(&val).and_then(|r| u8::try_from(r).ok());
            let Some(rule) = rule else { return fail(errno::ENOENT, format!("crush rule {val} does not exist")) };
            check_rule(&crush, rule, &p)?;
            pool_mut(c, id).crush_rule = rule;
        }
        "use_gmt_hitset" => pool_mut(c, id).use_gmt_hitset = want_bool(&val)?,
        "fast_read" => {
            if p.is_replicated() {
                return fail(errno::EINVAL, "fast read is not supported in replication pool");
            }
            pool_mut(c, id).fast_read = want_bool(&val)?;
        }
        "pg_autoscale_mode" => match autoscale_mode(&val) {
            Some(mode) => pool_mut(c, id).pg_autoscale_mode = mode,
            None => return fail(errno::EINVAL, format!("specified invalid mode {val}")),
        },
        "bulk" => {
            want_bool(&val)?;
        }
        "allow_ec_overwrites" => {
            return fail(errno::EINVAL, "ec overwrites can only be enabled for an erasure coded pool");
        }
        other => {
            set_option(c, id, other, &val)?;
            if val == "unset" {
                return Ok(Reply::says(format!("unset pool {id} {var}")));
            }
        }
    }
    Ok(Reply::says(format!("set pool {id} {var} to {val}")))
}

fn pool_mut<'a>(c: &'a mut Cmd, id: PoolId) -> &'a mut PgPool {
    c.mon.map().pool_mut(id).expect("it was found by name")
}

fn want_bool(val: &str) -> Result<bool, Fail> {
    truth(val).ok_or_else(|| Fail(errno::EINVAL, "expecting value 'true' or 'false' or '0' or '1'".to_owned()))
}

fn set_flag(c: &mut Cmd, id: PoolId, var: &str, flag: u64, val: &str) -> CmdResult {
    let on = match val {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => return fail(errno::EINVAL, "expecting value 'true', 'false', '0', or '1'"),
    };
    if var == "hashpspool" && !c.args.flag("yes_i_really_mean_it") {
        let text = "are you SURE?  this will remap all placement groups in this pool, this triggers large data \
                    movement, pass --yes-i-really-mean-it if you really do.";
        return fail(errno::EPERM, text);
    }
    let p = pool_mut(c, id);
    p.flags = if on { p.flags | flag } else { p.flags & !flag };
    Ok(Reply::says(format!("set pool {id} {var} to {val}")))
}

fn set_size(c: &mut Cmd, id: PoolId, p: &PgPool, n: i64) -> Result<(), Fail> {
    if p.has_flag(pool::flag::NOSIZECHANGE) {
        return fail(errno::EPERM, "pool size change is disabled; you must unset nosizechange flag for the pool first");
    }
    if p.is_erasure() {
        return fail(errno::EOPNOTSUPP, "can not change the size of an erasure-coded pool");
    }
    if !(1..=10).contains(&n) {
        return fail(errno::EINVAL, "pool size must be between 1 and 10");
    }
    if n == 1 && !c.mon.config.bool("mon_allow_pool_size_one") {
        let text = "configuring pool size as 1 is disabled by default.";
        return fail(errno::EPERM, text);
    }
    if n == 1 && !c.args.flag("yes_i_really_mean_it") {
        let text = "WARNING: setting pool size 1 could lead to data loss without recovery. If you are *ABSOLUTELY \
                    CERTAIN* that is what you want, pass the flag --yes-i-really-mean-it.";
        return fail(errno::EPERM, text);
    }
    let size = n as u8;
    c.mon.check_pg_num(Some(id), p.pg_num, size)?;
    let min_size = if size < p.size || p.min_size > size { c.mon.min_size_for(size) } else { p.min_size };
    let p = pool_mut(c, id);
    p.size = size;
    p.min_size = min_size.min(size);
    Ok(())
}

fn set_min_size(c: &mut Cmd, id: PoolId, p: &PgPool, n: i64) -> Result<(), Fail> {
    if p.has_flag(pool::flag::NOSIZECHANGE) {
        let text = "pool min size change is disabled; you must unset nosizechange flag for the pool first";
        return fail(errno::EPERM, text);
    }
    if n < 1 || n > i64::from(p.size) {
        return fail(errno::EINVAL, format!("pool min_size must be between 1 and size, which is set to {}", p.size));
    }
    pool_mut(c, id).min_size = n as u8;
    Ok(())
}

/// Sets what is aimed at; the manager gets there in steps.
fn set_pg_num(c: &mut Cmd, id: PoolId, p: &PgPool, n: i64) -> Result<(), Fail> {
    if p.has_flag(pool::flag::NOPGCHANGE) {
        return fail(errno::EPERM, "pool pg_num change is disabled; you must unset nopgchange flag for the pool first");
    }
    if n == i64::from(p.pg_num_target) {
        return Ok(());
    }
    let n = c.mon.pg_num_in_range(n)?;
    if n > p.pg_num_target {
        c.mon.check_pg_num(Some(id), n, p.size)?;
    }
    let p = pool_mut(c, id);
    // Who never set pgp_num apart means both.
    if p.pgp_num_target == p.pg_num_target {
        p.pgp_num_target = n;
    }
    p.pg_num_target = n;
    Ok(())
}

fn set_pgp_num(c: &mut Cmd, id: PoolId, p: &PgPool, n: i64) -> Result<(), Fail> {
    if p.has_flag(pool::flag::NOPGCHANGE) {
        let text = "pool pgp_num change is disabled; you must unset nopgchange flag for the pool first";
        return fail(errno::EPERM, text);
    }
    if n <= 0 {
        return fail(errno::EINVAL, format!("specified pgp_num must > 0, but you set to {n}"));
    }
    match u32::try_from(n).ok().filter(|n| *n <= p.pg_num_target) {
        Some(n) => pool_mut(c, id).pgp_num_target = n,
        None => return fail(errno::EINVAL, format!("specified pgp_num {n} > pg_num {}", p.pg_num_target)),
    }
    Ok(())
}

/// The settings that pools keep by name.
fn set_option(c: &mut Cmd, id: PoolId, var: &str, val: &str) -> Result<(), Fail> {
    let Some((_, _, kind)) = POOL_OPTS.iter().find(|(name, _, _)| *name == var) else {
        return fail(errno::EINVAL, format!("unrecognized variable '{var}'"));
    };
    let value = match kind {
        _ if val == "unset" => None,
        PoolOptType::Str if val.is_empty() => None,
        PoolOptType::Str => {
            check_word(var, val)?;
            Some(PoolOptValue::Str(val.to_owned()))
        }
        PoolOptType::Int if var == "csum_type" => Some(PoolOptValue::Int(csum_type(val)?)),
        PoolOptType::Int => {
            let n = number(val, if INT_VALUED.contains(&var) { "int" } else { "integer" })?;
            check_int(var, n, c.mon.map().pool(id).expect("it was found by name"))?;
            Some(n).filter(|n| *n != 0).map(PoolOptValue::Int)
        }
        PoolOptType::Double => {
            let wrong = || Fail(errno::EINVAL, format!("error parsing floating point value '{val}'"));
            let f: f64 = val.parse().ok().filter(|f: &f64| f.is_finite()).ok_or_else(wrong)?;
            check_float(var, f, val)?;
            Some(f).filter(|f| *f != 0.0).map(PoolOptValue::Double)
        }
    };
    pool_mut(c, id).opts.set(var, value);
    Ok(())
}

/// Of these Ceph says "int" where it says "integer" of others.
const INT_VALUED: &[&str] = &[
    "compression_max_blob_size",
    "compression_min_blob_size",
    "csum_max_block",
    "csum_min_block",
    "pg_num_min",
    "pg_num_max",
    "recovery_priority",
];

/// A whole number, or one with a unit.
fn number(val: &str, what: &str) -> Result<i64, Fail> {
    let parsed = whole(val).or_else(|| types::options::parse_size(val).and_then(|n| i64::try_from(n).ok()));
    let wrong = || {
        let text = format!("error parsing {what} value '{val}': Expected option value to be integer, got '{val}'");
        Fail(errno::EINVAL, text)
    };
    parsed.ok_or_else(wrong)
}

/// The words that an option takes, if it takes only some.
fn check_word(var: &str, val: &str) -> Result<(), Fail> {
    let (words, what): (&[&str], &str) = match var {
        "compression_mode" => (&["none", "passive", "aggressive", "force"], "compression mode"),
        "compression_algorithm" => (&["none", "snappy", "zlib", "zstd", "lz4"], var),
        "fingerprint_algorithm" => (&["sha1", "sha256", "sha512"], var),
        _ => return Ok(()),
    };
    if words.contains(&val) { Ok(()) } else { fail(errno::EINVAL, format!("unrecognized {what} '{val}'")) }
}

/// From 1 on (Ceph: `Checksummer::CSumType`).
const CSUM_TYPES: [&str; 6] = ["none", "xxhash32", "xxhash64", "crc32c", "crc32c_16", "crc32c_8"];

fn csum_type(val: &str) -> Result<i64, Fail> {
    let unknown = || Fail(errno::EINVAL, format!("unrecognized csum_type '{val}'"));
    CSUM_TYPES.iter().zip(1..).find(|(name, _)| **name == val).map(|(_, n)| n).ok_or_else(unknown)
}

fn check_int(var: &str, n: i64, pool: &PgPool) -> Result<(), Fail> {
    let target = i64::from(pool.pg_num_target);
    match var {
        "recovery_priority" if !(-10..=10).contains(&n) => {
            fail(errno::EINVAL, "pool recovery_priority must be between -10 and 10")
        }
        "pg_num_min" if n > target => fail(errno::EINVAL, format!("specified pg_num_min {n} > pg_num {target}")),
        "pg_num_max" if n != 0 && n < target => {
            fail(errno::EINVAL, format!("specified pg_num_max {n} < pg_num {target}"))
        }
        _ => Ok(()),
    }
}

fn check_float(var: &str, f: f64, val: &str) -> Result<(), Fail> {
    match var {
        "compression_required_ratio" if !(0.0..=1.0).contains(&f) => {
            fail(errno::EINVAL, format!("compression_required_ratio is out of range (0-1): '{val}'"))
        }
        "target_size_ratio" if f < 0.0 => fail(errno::EINVAL, "target_size_ratio cannot be negative"),
        "pg_autoscale_bias" if !(0.0..=1000.0).contains(&f) => {
            fail(errno::EINVAL, "pg_autoscale_bias must be between 0 and 1000")
        }
        _ => Ok(()),
    }
}

/// Whether the rule is for pools like this one (Ceph: `CrushWrapper::check_crush_rule`).
fn check_rule(crush: &::crush::CrushMap, rule: u8, pool: &PgPool) -> Result<(), Fail> {
    let why = match crush.rule(rule.into()) {
        Some(r) if r.kind != pool.kind => "pool type and crush rule type do not match",
        Some(r) if pool.size < r.min_size => "pool size is smaller than the crush rule min size",
        Some(r) if pool.size > r.max_size => "pool size is bigger than the crush rule max size",
        Some(_) => return Ok(()),
        None => "the crush rule does not exist",
    };
    fail(errno::EINVAL, why)
}
