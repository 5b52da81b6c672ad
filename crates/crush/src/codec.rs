//! Ceph's binary form of the map (Ceph: `CrushWrapper::encode`), the one format in Ceph that grew
//! without version bytes: a reader learns what is there from where the bytes end.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::{Bucket, BucketAlg, ChooseArg, ChooseArgs, CrushMap, Rule, Step, StepOp, Tunables, Weights, map};

type Result<T> = std::result::Result<T, DecodeError>;

const MAGIC: u32 = 0x0001_0000;

/// Feature bits (`include/ceph_features.h`) that change what is written.
const FEATURE_TUNABLES5: u64 = 1 << 58;
const FEATURE_SERVER_LUMINOUS: u64 = 1 << 21 | FEATURE_INCARNATION_2;
/// Choose_args share the bit of luminous.
const FEATURE_CHOOSE_ARGS: u64 = FEATURE_SERVER_LUMINOUS;
/// Bits of the second incarnation count only with this one.
const FEATURE_INCARNATION_2: u64 = 1 << 57;

fn invalid(what: &'static str, value: impl Into<i64>) -> DecodeError {
    DecodeError::Invalid { what, value: value.into().cast_unsigned() }
}

impl Encode for CrushMap {
    fn encode(&self, e: &mut Encoder) {
        e.u32(MAGIC);
        e.i32(i32::try_from(self.buckets.len()).expect("a table of buckets is smaller than 2^31"));
        e.u32(u32::try_from(self.rules.len()).expect("there are at most 256 rules"));
        e.i32(self.max_devices);
        let fold = if e.has_feature(FEATURE_CHOOSE_ARGS) { None } else { self.choose_args.values().next() };
        for (index, bucket) in (0..).zip(&self.buckets) {
            match bucket {
                None => e.u32(0),
                Some(bucket) => encode_bucket(bucket, fold.and_then(|args| args.get(&index)), e),
            }
        }
        for rule in &self.rules {
            e.u32(rule.is_some().into());
            if let Some(rule) = rule {
                encode_rule(rule, e);
            }
        }
        e.put(&self.type_names);
        e.put(&self.item_names);
        e.put(&self.rule_names);
        encode_tunables(&self.tunables, e);
        if e.has_feature(FEATURE_SERVER_LUMINOUS) {
            e.put(&self.item_class);
            e.put(&self.class_names);
            e.put(&self.class_bucket);
            encode_choose_args(&self.choose_args, e);
        }
    }
}

/// `fold`: choose_args whose first weights stand in for the bucket's own, for readers without any.
fn encode_bucket(b: &Bucket, fold: Option<&ChooseArg>, e: &mut Encoder) {
    e.u32(b.alg() as u32);
    e.i32(b.id);
    e.u16(b.type_id);
    e.u8(b.alg() as u8);
    e.u8(b.hash);
    e.u32(b.weight);
    e.u32(u32::try_from(b.items.len()).expect("a bucket is smaller than 2^32"));
    b.items.iter().for_each(|item| e.i32(*item));
    match &b.weights {
        Weights::Uniform(weight) => e.u32(*weight),
        Weights::List { items, sums: pairs } | Weights::Straw { items, straws: pairs } => {
            for (weight, derived) in items.iter().zip(pairs) {
                e.u32(*weight);
                e.u32(*derived);
            }
        }
        Weights::Tree { nodes } => {
            e.u8(u8::try_from(nodes.len()).expect("trees are built and decoded with fewer than 256 nodes"));
            nodes.iter().for_each(|weight| e.u32(*weight));
        }
        Weights::Straw2(own) => {
            let weights = fold.and_then(|arg| arg.weight_set.first()).filter(|w| w.len() == own.len()).unwrap_or(own);
            weights.iter().for_each(|weight| e.u32(*weight));
        }
    }
}

fn encode_rule(rule: &Rule, e: &mut Encoder) {
    e.u32(u32::try_from(rule.steps.len()).expect("a rule is shorter than 2^32"));
    e.u8(rule.ruleset);
    e.u8(rule.kind);
    e.u8(rule.min_size);
    e.u8(rule.max_size);
    for step in &rule.steps {
        e.u32(step.op.to_wire());
        e.i32(step.arg1);
        e.i32(step.arg2);
    }
}

fn encode_tunables(t: &Tunables, e: &mut Encoder) {
    e.u32(t.choose_local_tries);
    e.u32(t.choose_local_fallback_tries);
    e.u32(t.choose_total_tries);
    e.u32(t.chooseleaf_descend_once);
    e.u8(t.chooseleaf_vary_r);
    e.u8(t.straw_calc_version);
    e.u32(t.allowed_bucket_algs);
    if e.has_feature(FEATURE_TUNABLES5) {
        e.u8(t.chooseleaf_stable);
    }
}

fn encode_choose_args(all: &BTreeMap<i64, ChooseArgs>, e: &mut Encoder) {
    let count = |n: usize| u32::try_from(n).expect("no collection reaches 2^32 items");
    e.u32(count(all.len()));
    for (id, args) in all {
        e.i64(*id);
        e.u32(count(args.values().filter(|a| !a.is_empty()).count()));
        for (index, arg) in args.iter().filter(|(_, a)| !a.is_empty()) {
            e.u32(*index);
            e.put(&arg.weight_set);
            e.put(&arg.ids);
        }
    }
}

impl Decode for CrushMap {
    const MIN_SIZE: usize = 28;

    /// Reads to the end of `d`: optional parts are there if bytes are left.
    fn decode(d: &mut Decoder) -> Result<Self> {
        let magic = d.u32()?;
        if magic != MAGIC {
            return Err(invalid("crush map magic", magic));
        }
        let at = d.pos();
        let (max_buckets, max_rules, _max_devices) = (d.u32()?, d.u32()?, d.i32()?);
        let left = d.remaining();
        if u64::from(max_buckets) + u64::from(max_rules) > left as u64 / 4 {
            return Err(DecodeError::Count { at, count: u64::from(max_buckets) + u64::from(max_rules), left });
        }
        let mut map = CrushMap { tunables: Tunables::LEGACY, ..CrushMap::default() };
        for index in 0..max_buckets as usize {
            map.buckets.push(decode_bucket(d, index)?);
        }
        for _ in 0..max_rules {
            map.rules.push(decode_rule(d)?);
        }
        map.type_names = decode_names(d)?;
        map.item_names = decode_names(d)?;
        map.rule_names = decode_names(d)?;
        decode_tunables(&mut map.tunables, d)?;
        if !d.is_empty() {
            map.item_class = d.get()?;
            map.class_names = d.get()?;
            map.class_bucket = d.get()?;
        }
        if !d.is_empty() {
            map.choose_args = decode_choose_args(&map, d)?;
        }
        map.repair_choose_args();
        map.finalize();
        Ok(map)
    }
}

fn decode_bucket(d: &mut Decoder, index: usize) -> Result<Option<Bucket>> {
    let alg = d.u32()?;
    if alg == 0 {
        return Ok(None);
    }
    let Some(alg) = BucketAlg::from_wire(alg) else { return Err(invalid("bucket algorithm", alg)) };
    let (id, type_id, inner, hash, weight) = (d.i32()?, d.u16()?, d.u8()?, d.u8()?, d.u32()?);
    // Ceph indexes by place and by id in turn, and would fall over the next two.
    if map::index_of(id) != Some(index) {
        return Err(invalid("bucket id", id));
    }
    if inner != alg as u8 {
        return Err(invalid("bucket algorithm", inner));
    }
    let size = d.count(4)?;
    let items = decode_array(d, size, Decoder::i32)?;
    let weights = match alg {
        BucketAlg::Uniform => Weights::Uniform(d.u32()?),
        BucketAlg::List => {
            let (items, sums) = decode_pairs(d, size)?;
            Weights::List { items, sums }
        }
        BucketAlg::Straw => {
            let (items, straws) = decode_pairs(d, size)?;
            Weights::Straw { items, straws }
        }
        BucketAlg::Tree => {
            let nodes = d.u8()?;
            // A descent reads the nodes of a full tree with a leaf for each item.
            if (size > 0 && !nodes.is_power_of_two()) || usize::from(nodes) < 2 * size {
                return Err(invalid("tree bucket node count", nodes));
            }
            Weights::Tree { nodes: decode_array(d, nodes.into(), Decoder::u32)? }
        }
        BucketAlg::Straw2 => Weights::Straw2(decode_array(d, size, Decoder::u32)?),
    };
    Ok(Some(Bucket { id, type_id, hash, weight, items, weights }))
}

fn decode_array<T>(d: &mut Decoder, n: usize, item: impl Fn(&mut Decoder) -> Result<T>) -> Result<Vec<T>> {
    if n > d.remaining() / 4 {
        return Err(DecodeError::Count { at: d.pos(), count: n as u64, left: d.remaining() });
    }
    (0..n).map(|_| item(d)).collect()
}

fn decode_pairs(d: &mut Decoder, n: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    let pairs = decode_array(d, n, |d| Ok((d.u32()?, d.u32()?)))?;
    Ok(pairs.into_iter().unzip())
}

fn decode_rule(d: &mut Decoder) -> Result<Option<Rule>> {
    if d.u32()? == 0 {
        return Ok(None);
    }
    let len = d.u32()? as usize;
    let (ruleset, kind, min_size, max_size) = (d.u8()?, d.u8()?, d.u8()?, d.u8()?);
    let steps = decode_array(d, len, |d| Ok(Step { op: StepOp::from_wire(d.u32()?), arg1: d.i32()?, arg2: d.i32()? }))?;
    Ok(Some(Rule { ruleset, kind, min_size, max_size, steps }))
}

/// Some writers of long ago used 64-bit keys. No name is empty, so a length of 0 gives them away.
fn decode_names(d: &mut Decoder) -> Result<BTreeMap<i32, String>> {
    let n = d.count(8)?;
    let mut names = BTreeMap::new();
    for _ in 0..n {
        let key = d.i32()?;
        let mut len = d.u32()?;
        if len == 0 {
            len = d.u32()?;
        }
        let at = d.pos();
        let raw = d.slice(len as usize)?;
        let name = std::str::from_utf8(raw).map_err(|_| DecodeError::Utf8 { at })?;
        names.insert(key, name.to_owned());
    }
    Ok(names)
}

fn decode_tunables(t: &mut Tunables, d: &mut Decoder) -> Result<()> {
    if !d.is_empty() {
        t.choose_local_tries = d.u32()?;
        t.choose_local_fallback_tries = d.u32()?;
        t.choose_total_tries = d.u32()?;
    }
    if !d.is_empty() {
        t.chooseleaf_descend_once = d.u32()?;
    }
    if !d.is_empty() {
        t.chooseleaf_vary_r = d.u8()?;
    }
    if !d.is_empty() {
        t.straw_calc_version = d.u8()?;
    }
    if !d.is_empty() {
        t.allowed_bucket_algs = d.u32()?;
    }
    if !d.is_empty() {
        t.chooseleaf_stable = d.u8()?;
    }
    Ok(())
}

fn decode_choose_args(map: &CrushMap, d: &mut Decoder) -> Result<BTreeMap<i64, ChooseArgs>> {
    let mut all = BTreeMap::new();
    for _ in 0..d.count(12)? {
        let id = d.i64()?;
        let mut args = ChooseArgs::new();
        for _ in 0..d.count(12)? {
            let index = d.u32()?;
            if index as usize >= map.buckets.len() {
                return Err(invalid("choose_args bucket", index));
            }
            let arg = ChooseArg { weight_set: d.get()?, ids: d.get()? };
            let size = map.buckets[index as usize].as_ref().map(|b| b.items.len());
            if !arg.ids.is_empty() && size != Some(arg.ids.len()) {
                return Err(invalid("choose_args id count", arg.ids.len() as i64));
            }
            args.insert(index, arg);
        }
        all.insert(id, args);
    }
    Ok(all)
}
