//! From text to map.
//!
//! The text is a list of words and brackets; each statement begins with a keyword, and anything else is
//! the type name of a bucket. Buckets may come before those that they hold, but not after the first rule.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Bucket, BucketAlg, ChooseArg, ChooseArgs, CrushError, CrushMap, Rule, RuleKind, Step, StepOp, Tunables};

/// Where and why a text is no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CompileError {
    pub line: usize,
    pub message: String,
}

type Result<T> = std::result::Result<T, CompileError>;

/// Ceph: `CRUSH_MAX_DEVICE_WEIGHT`, `CRUSH_MAX_BUCKET_WEIGHT`.
const DEVICE_WEIGHT_MAX: f32 = 100.0;
const BUCKET_WEIGHT_MAX: f32 = 65535.0;

/// Buckets must be named in tables of this length at most.
const BUCKET_ID_MIN: i32 = -(1 << 20);

impl CrushMap {
    /// Reads a map from its text (`crushtool -c`). What the text leaves open is as in the oldest maps.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn compile(text: &str) -> Result<Self> {
        let mut compiler = Compiler {
            words: Words::new(text),
            map: Self { tunables: Tunables::LEGACY, ..Self::default() },
            shadows: BTreeMap::new(),
            reserved: BTreeSet::new(),
        };
        compiler.run()?;
        Ok(compiler.map)
    }
}

/// The words of a text with their lines, and the place of the next one.
struct Words<'a> {
    words: Vec<(usize, &'a str)>,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let mut words = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split_whitespace() {
                let mut rest = word;
                while let Some(bracket) = rest.find(['{', '}', '[', ']']) {
                    if bracket > 0 {
                        words.push((number, &rest[..bracket]));
                    }
                    words.push((number, &rest[bracket..=bracket]));
                    rest = &rest[bracket + 1..];
                }
                if !rest.is_empty() {
                    words.push((number, rest));
                }
            }
        }
        Self { words, at: 0 }
    }

    fn line(&self) -> usize {
        self.words.get(self.at).or(self.words.last()).map_or(1, |(line, _)| *line)
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(CompileError { line: self.line(), message: message.into() })
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(|(_, word)| *word)
    }

    fn next(&mut self, wanted: &str) -> Result<&'a str> {
        let Some(word) = self.peek() else { return self.error(format!("the text ends where {wanted} should be")) };
        self.at += 1;
        Ok(word)
    }

    /// Takes the next word if it is this one.
    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        match self.accept(word) {
            true => Ok(()),
            false => self.error(format!("'{}' stands where '{word}' should be", self.peek().unwrap_or_default())),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, wanted: &str) -> Result<T> {
        let word = self.next(wanted)?;
        word.parse().or_else(|_| {
            self.at -= 1;
            self.error(format!("'{word}' is not {wanted}"))
        })
    }

    fn name(&mut self, wanted: &str) -> Result<&'a str> {
        let word = self.next(wanted)?;
        if crate::edit::is_valid_name(word) {
            return Ok(word);
        }
        self.at -= 1;
        self.error(format!("'{word}' is not {wanted}"))
    }

    /// The numbers of `[ … ]`.
    fn list<T: std::str::FromStr>(&mut self, wanted: &str) -> Result<Vec<T>> {
        self.expect("[")?;
        let mut list = Vec::new();
        while !self.accept("]") {
            list.push(self.number(wanted)?);
        }
        Ok(list)
    }
}

/// A bucket as the text has it, before its items are known.
struct BucketText<'a> {
    at: usize,
    type_id: u16,
    name: &'a str,
    id: Option<i32>,
    shadows: Vec<(&'a str, i32)>,
    alg: BucketAlg,
    hash: u8,
    items: Vec<ItemText<'a>>,
}

struct ItemText<'a> {
    name: &'a str,
    weight: Option<f32>,
    pos: Option<usize>,
}

struct Compiler<'a> {
    words: Words<'a>,
    map: CrushMap,
    /// The ids that the text gives to shadows.
    shadows: BTreeMap<i32, BTreeMap<i32, i32>>,
    /// Every bucket id in the text, so that a bucket without one gets another.
    reserved: BTreeSet<i32>,
}

impl<'a> Compiler<'a> {
    fn run(&mut self) -> Result<()> {
        let mut buckets = Vec::new();
        let mut rules_begun = false;
        while let Some(word) = self.words.peek() {
            match word {
                "tunable" => self.tunable()?,
                "device" => self.device()?,
                "type" => self.bucket_type()?,
                "rule" => {
                    if !rules_begun {
                        rules_begun = true;
                        self.place_buckets(std::mem::take(&mut buckets))?;
                        self.build_shadows()?;
                    }
                    self.rule()?;
                }
                "choose_args" => {
                    self.place_buckets(std::mem::take(&mut buckets))?;
                    self.choose_args()?;
                }
                _ if rules_begun => return self.words.error("buckets must be defined before rules"),
                _ => buckets.push(self.bucket()?),
            }
        }
        self.place_buckets(buckets)?;
        self.map.finalize();
        Ok(())
    }

    fn build_shadows(&mut self) -> Result<()> {
        let ids = std::mem::take(&mut self.shadows);
        self.map.populate_shadows(&ids).or_else(|e| self.refused(&e))
    }

    fn refused<T>(&self, e: &CrushError) -> Result<T> {
        self.words.error(e.to_string())
    }

    fn tunable(&mut self) -> Result<()> {
        self.words.expect("tunable")?;
        let name = self.words.name("a tunable")?;
        let value: u32 = self.words.number("a number")?;
        let byte = u8::try_from(value);
        let t = &mut self.map.tunables;
        match (name, byte) {
            ("choose_local_tries", _) => t.choose_local_tries = value,
            ("choose_local_fallback_tries", _) => t.choose_local_fallback_tries = value,
            ("choose_total_tries", _) => t.choose_total_tries = value,
            ("chooseleaf_descend_once", _) => t.chooseleaf_descend_once = value,
            ("chooseleaf_vary_r", Ok(value)) => t.chooseleaf_vary_r = value,
            ("chooseleaf_stable", Ok(value)) => t.chooseleaf_stable = value,
            ("straw_calc_version", Ok(value)) => t.straw_calc_version = value,
            ("allowed_bucket_algs", _) => t.allowed_bucket_algs = value,
            (_, Err(_)) => return self.words.error(format!("tunable {name} is too large")),
            _ => return self.words.error(format!("tunable {name} not recognized")),
        }
        Ok(())
    }

    fn device(&mut self) -> Result<()> {
        self.words.expect("device")?;
        let id: i32 = self.words.number("a device id")?;
        let name = self.words.name("a device name")?;
        if id < 0 || self.map.name_exists(name) {
            return self.words.error(format!("item {name} defined twice, or negative"));
        }
        self.map.item_names.insert(id, name.to_owned());
        if self.words.accept("class") {
            let class = self.words.name("a class")?;
            let class = self.map.class_id_or_new(class);
            self.map.item_class.insert(id, class);
        }
        Ok(())
    }

    fn bucket_type(&mut self) -> Result<()> {
        self.words.expect("type")?;
        let id: u16 = self.words.number("a type id")?;
        let name = self.words.name("a type name")?;
        self.map.type_names.insert(id.into(), name.to_owned());
        Ok(())
    }

    fn bucket(&mut self) -> Result<BucketText<'a>> {
        let kind = self.words.name("a bucket type")?;
        let type_id = self.map.type_id(kind).and_then(|id| u16::try_from(id).ok());
        let Some(type_id) = type_id else {
            self.words.at -= 1;
            return self.words.error(format!("bucket type '{kind}' is not defined"));
        };
        let at = self.words.at;
        let name = self.words.name("a bucket name")?;
        self.words.expect("{")?;
        let mut b = BucketText {
            at,
            type_id,
            name,
            id: None,
            shadows: Vec::new(),
            alg: BucketAlg::Straw2,
            hash: 0,
            items: Vec::new(),
        };
        let mut alg = None;
        loop {
            match self.words.next("'}'")? {
                "}" => break,
                "id" => {
                    let id: i32 = self.words.number("a bucket id")?;
                    if !(BUCKET_ID_MIN..0).contains(&id) || !self.reserved.insert(id) {
                        return self.words.error(format!("bucket id {id} is out of range or used twice"));
                    }
                    match self.words.accept("class") {
                        true => b.shadows.push((self.words.name("a class")?, id)),
                        false => b.id = Some(id),
                    }
                }
                "alg" => {
                    let name = self.words.name("an algorithm")?;
                    alg = BucketAlg::from_name(name);
                    if alg.is_none() {
                        return self.words.error(format!("unknown bucket alg '{name}'"));
                    }
                }
                "hash" => b.hash = if self.words.accept("rjenkins1") { 0 } else { self.words.number("a hash")? },
                "item" => b.items.push(self.item()?),
                word => return self.words.error(format!("'{word}' makes no sense in a bucket")),
            }
        }
        match alg {
            Some(alg) => b.alg = alg,
            None => return self.words.error(format!("bucket '{name}' has no alg")),
        }
        Ok(b)
    }

    fn item(&mut self) -> Result<ItemText<'a>> {
        let name = self.words.name("an item")?;
        let weight = if self.words.accept("weight") { Some(self.words.number("a weight")?) } else { None };
        let pos = if self.words.accept("pos") { Some(self.words.number("a position")?) } else { None };
        Ok(ItemText { name, weight, pos })
    }

    /// Makes the buckets, those without unmade ones in them first.
    fn place_buckets(&mut self, mut waiting: Vec<BucketText<'a>>) -> Result<()> {
        while !waiting.is_empty() {
            let names: BTreeSet<&str> = waiting.iter().map(|b| b.name).collect();
            let ready = |b: &BucketText<'_>| !b.items.iter().any(|item| names.contains(item.name));
            let Some(at) = waiting.iter().position(ready) else {
                self.words.at = waiting[0].at;
                return self.words.error(format!("bucket '{}' and others include each other", waiting[0].name));
            };
            let bucket = waiting.remove(at);
            let resume = std::mem::replace(&mut self.words.at, bucket.at);
            self.place_bucket(&bucket)?;
            self.words.at = resume;
        }
        Ok(())
    }

    fn place_bucket(&mut self, text: &BucketText<'a>) -> Result<()> {
        if self.map.name_exists(text.name) {
            return self.words.error(format!("bucket or device '{}' is already defined", text.name));
        }
        let (items, weights) = self.place_items(text)?;
        let version = self.map.tunables.straw_calc_version;
        let made = Bucket::new(text.alg, text.type_id, &items, &weights, version);
        let mut bucket = made.or_else(|e| self.refused(&e))?;
        bucket.hash = text.hash;
        let free = || (1..).map(|n: i32| -n).find(|id| !self.reserved.contains(id)).expect("2^31 ids");
        let id = text.id.unwrap_or_else(free);
        self.reserved.insert(id);
        let id = self.map.insert_bucket(id, bucket).or_else(|e| self.refused(&e))?;
        self.map.item_names.insert(id, text.name.to_owned());
        for (class, shadow) in &text.shadows {
            let class = self.map.class_id_or_new(class);
            self.shadows.entry(id).or_default().insert(class, *shadow);
        }
        Ok(())
    }

    /// Items with a position take it; the others fill the gaps in order.
    fn place_items(&self, text: &BucketText<'a>) -> Result<(Vec<i32>, Vec<u32>)> {
        let size = text.items.len();
        let mut slots: Vec<Option<(i32, u32)>> = vec![None; size];
        let fixed = text.items.iter().filter(|i| i.pos.is_some());
        for item in fixed.chain(text.items.iter().filter(|i| i.pos.is_none())) {
            let Some(id) = self.map.item_id(item.name) else {
                return self.words.error(format!("item '{}' in bucket '{}' is not defined", item.name, text.name));
            };
            let weight = self.weight(item, id)?;
            let at = item.pos.or_else(|| slots.iter().position(Option::is_none));
            match at.and_then(|at| slots.get_mut(at)) {
                Some(slot @ None) => *slot = Some((id, weight)),
                _ => {
                    let message = format!("item '{}' in bucket '{}' has no free position", item.name, text.name);
                    return self.words.error(message);
                }
            }
        }
        let (items, weights): (Vec<_>, Vec<_>) = slots.into_iter().flatten().unzip();
        if text.alg == BucketAlg::Uniform && weights.iter().any(|w| *w != weights[0]) {
            return self.words.error(format!("uniform bucket '{}' must have items of one weight", text.name));
        }
        Ok((items, weights))
    }

    /// A bucket without a weight has that of its items, a device has 1.
    fn weight(&self, item: &ItemText<'_>, id: i32) -> Result<u32> {
        let Some(weight) = item.weight else {
            return Ok(self.map.bucket(id).map_or(crate::WEIGHT_ONE, |b| b.weight));
        };
        let max = if id >= 0 { DEVICE_WEIGHT_MAX } else { BUCKET_WEIGHT_MAX };
        if !(0.0..=max).contains(&weight) {
            return self.words.error(format!("the weight of '{}' is limited to {max}", item.name));
        }
        Ok((weight * 65536.0) as u32)
    }

    fn rule(&mut self) -> Result<()> {
        self.words.expect("rule")?;
        let name = if self.words.peek() == Some("{") { None } else { Some(self.words.name("a rule name")?) };
        self.words.expect("{")?;
        if !self.words.accept("ruleset") {
            self.words.expect("id")?;
        }
        let id: u8 = self.words.number("a rule id")?;
        self.words.expect("type")?;
        let kind = match self.words.next("a rule type")? {
            "replicated" => RuleKind::Replicated,
            "erasure" => RuleKind::Erasure,
            other => return self.words.error(format!("'{other}' is no rule type")),
        };
        self.words.expect("min_size")?;
        let min_size = self.words.number("a size")?;
        self.words.expect("max_size")?;
        let max_size = self.words.number("a size")?;
        let mut steps = Vec::new();
        while !self.words.accept("}") {
            self.words.expect("step")?;
            steps.push(self.step()?);
        }
        if self.map.rule_exists(id.into()) {
            return self.words.error(format!("rule {id} already exists"));
        }
        if let Some(name) = name.filter(|n| self.map.rule_id(n).is_some()) {
            return self.words.error(format!("rule name '{name}' already defined"));
        }
        self.map.put_rule(id.into(), name, Rule { ruleset: id, kind: kind as u8, min_size, max_size, steps });
        Ok(())
    }

    fn step(&mut self) -> Result<Step> {
        let word = self.words.next("a step")?;
        let set = |words: &mut Words<'a>, op| -> Result<Step> {
            let value: u32 = words.number("a number")?;
            Ok(Step::new(op, i32::try_from(value).unwrap_or(i32::MAX), 0))
        };
        match word {
            "noop" => Ok(Step::new(StepOp::Noop, 0, 0)),
            "emit" => Ok(Step::new(StepOp::Emit, 0, 0)),
            "take" => self.step_take(),
            "choose" => self.step_choose(StepOp::ChooseFirstn, StepOp::ChooseIndep),
            "chooseleaf" => self.step_choose(StepOp::ChooseleafFirstn, StepOp::ChooseleafIndep),
            "set_choose_tries" => set(&mut self.words, StepOp::SetChooseTries),
            "set_chooseleaf_tries" => set(&mut self.words, StepOp::SetChooseleafTries),
            "set_choose_local_tries" => set(&mut self.words, StepOp::SetChooseLocalTries),
            "set_choose_local_fallback_tries" => set(&mut self.words, StepOp::SetChooseLocalFallbackTries),
            "set_chooseleaf_vary_r" => set(&mut self.words, StepOp::SetChooseleafVaryR),
            "set_chooseleaf_stable" => set(&mut self.words, StepOp::SetChooseleafStable),
            other => self.words.error(format!("'{other}' is no step")),
        }
    }

    fn step_take(&mut self) -> Result<Step> {
        let name = self.words.name("an item")?;
        let Some(id) = self.map.item_id(name) else { return self.words.error(format!("item '{name}' not defined")) };
        if !self.words.accept("class") {
            return Ok(Step::new(StepOp::Take, id, 0));
        }
        let class = self.words.name("a class")?;
        match self.map.class_id(class).and_then(|c| self.map.shadow_of(id, c)) {
            Some(shadow) => Ok(Step::new(StepOp::Take, shadow, 0)),
            None => self.words.error(format!("step take {name}: no matching bucket for class {class}")),
        }
    }

    fn step_choose(&mut self, firstn: StepOp, indep: StepOp) -> Result<Step> {
        let op = match self.words.next("firstn or indep")? {
            "firstn" => firstn,
            "indep" => indep,
            other => return self.words.error(format!("'{other}' is neither firstn nor indep")),
        };
        let count = self.words.number("a number")?;
        self.words.expect("type")?;
        let name = self.words.name("a type")?;
        match self.map.type_id(name) {
            Some(type_id) => Ok(Step::new(op, count, type_id)),
            None => self.words.error(format!("type '{name}' not defined")),
        }
    }

    fn choose_args(&mut self) -> Result<()> {
        self.words.expect("choose_args")?;
        let id = self.words.number::<u64>("a number")?.cast_signed();
        self.words.expect("{")?;
        let mut args = ChooseArgs::new();
        while !self.words.accept("}") {
            self.words.expect("{")?;
            self.words.expect("bucket_id")?;
            let bucket: i32 = self.words.number("a bucket id")?;
            let mut arg = ChooseArg::default();
            if self.words.accept("weight_set") {
                self.words.expect("[")?;
                while !self.words.accept("]") {
                    let weights: Vec<f32> = self.words.list("a weight")?;
                    arg.weight_set.push(weights.into_iter().map(|w| (w * 65536.0) as u32).collect());
                }
            }
            if self.words.accept("ids") {
                arg.ids = self.words.list("an id")?;
            }
            self.words.expect("}")?;
            let Some(size) = self.map.bucket(bucket).map(|b| b.items.len()) else {
                return self.words.error(format!("bucket {bucket} does not exist"));
            };
            let fits = arg.weight_set.iter().all(|set| set.len() == size);
            if !fits || !(arg.ids.is_empty() || arg.ids.len() == size) {
                return self.words.error(format!("bucket {bucket} needs exactly {size} weights and ids"));
            }
            args.insert((-1 - bucket).cast_unsigned(), arg);
        }
        if self.map.choose_args.insert(id, args).is_some() {
            return self.words.error(format!("choose_args {id} duplicated"));
        }
        Ok(())
    }
}
