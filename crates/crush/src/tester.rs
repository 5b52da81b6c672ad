//! Trying a map out: where a range of inputs would go (Ceph: `CrushTester`, `crushtool --test`).

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::{CrushMap, ITEM_NONE, StepOp, WEIGHT_ONE, Workspace, hash};

/// What to try, and what to show of it. Lines are `crushtool`'s.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Rules from the first to the last; all if there is none.
    pub rules: Option<(u32, u32)>,
    /// Inputs from the first to the last; 0 to 1023 if there is none.
    pub inputs: Option<(u32, u32)>,
    /// Numbers of replicas; each rule's own range if there is none.
    pub replicas: Option<(u32, u32)>,
    /// Inputs are spread as a pool's PGs are.
    pub pool: Option<i64>,
    /// Devices' reweights, 16.16; 1 for the others that the map holds.
    pub weights: BTreeMap<i32, u32>,
    pub mappings: bool,
    pub bad_mappings: bool,
    pub statistics: bool,
    pub utilization: bool,
    pub utilization_all: bool,
}

/// More devices than any map that `validate` lets through, so that a hostile one takes no memory.
const DEVICES_MAX: i32 = 1 << 20;

/// `[0,2147483647,3]`.
fn list(osds: &[i32]) -> String {
    let osds: Vec<String> = osds.iter().map(ToString::to_string).collect();
    format!("[{}]", osds.join(","))
}

impl Trial {
    /// The reweight of each device.
    pub fn device_weights(&self, map: &CrushMap) -> Vec<u32> {
        let held = map.all_held();
        let one = |osd: i32| match self.weights.get(&osd) {
            Some(weight) => *weight,
            None if held.contains(&osd) => WEIGHT_ONE,
            None => 0,
        };
        (0..map.max_devices().min(DEVICES_MAX)).map(one).collect()
    }

    /// Runs it, line by line into `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn run(&self, map: &CrushMap, out: &mut impl Write) -> fmt::Result {
        let weights = self.device_weights(map);
        let last = map.rules().last().map(|(id, _)| id);
        let (first, last) = match (self.rules, last) {
            (_, None) => return Ok(()),
            (None, Some(last)) => (0, last),
            (Some((first, to)), Some(last)) => (first, to.min(last)),
        };
        for rule in first..=last {
            self.run_rule(map, rule, &weights, out)?;
        }
        Ok(())
    }

    fn run_rule(&self, map: &CrushMap, id: u32, weights: &[u32], out: &mut impl Write) -> fmt::Result {
        let Some(rule) = map.rule(id) else {
            return if self.statistics() { writeln!(out, "rule {id} dne") } else { Ok(()) };
        };
        let (from, to) = self.replicas.unwrap_or((rule.min_size.into(), rule.max_size.into()));
        if self.statistics() {
            let name = map.rule_name(id).unwrap_or_default();
            let (a, b) = self.inputs();
            writeln!(out, "rule {id} ({name}), x = {a}..{b}, numrep = {from}..{to}")?;
        }
        if weights.iter().all(|w| *w == 0) {
            return Ok(());
        }
        (from..=to).try_for_each(|replicas| self.run_size(map, id, replicas, weights, out))
    }

    fn run_size(&self, map: &CrushMap, rule: u32, replicas: u32, weights: &[u32], out: &mut impl Write) -> fmt::Result {
        let (first, last) = self.inputs();
        let mut stored = vec![0u64; weights.len()];
        let mut sizes: BTreeMap<usize, u32> = BTreeMap::new();
        let mut work = Workspace::default();
        for x in first..=last {
            // Ceph hashes the pool's low half with it, as placement seeds do.
            let real = self.pool.map_or(x, |pool| hash::hash2(x, pool as u32));
            let found = map.do_rule_in(&mut work, rule, real, replicas as usize, weights, 0);
            if self.mappings {
                writeln!(out, "CRUSH rule {rule} x {x} {}", list(found))?;
            }
            for osd in found {
                if let Some(count) = usize::try_from(*osd).ok().and_then(|osd| stored.get_mut(osd)) {
                    *count += 1;
                }
            }
            *sizes.entry(found.len()).or_default() += 1;
            if self.bad_mappings && (found.len() != replicas as usize || found.contains(&ITEM_NONE)) {
                writeln!(out, "bad mapping rule {rule} x {x} num_rep {replicas} result {}", list(found))?;
            }
        }
        if !self.statistics() {
            return Ok(());
        }
        let count = last - first + 1;
        let name = map.rule_name(rule).unwrap_or_default();
        for (size, n) in &sizes {
            writeln!(out, "rule {rule} ({name}) num_rep {replicas} result size == {size}:\t{n}/{count}")?;
        }
        let objects = f64::from(replicas.min(map.most_replicas(rule)) * count);
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        for (osd, (weight, stored)) in weights.iter().zip(&stored).enumerate() {
            let expected = (f64::from(*weight) / total * objects) as f32;
            let shown = self.utilization_all || self.utilization && expected > 0.0 && *stored > 0;
            if shown {
                // Six digits, as C++ prints a float.
                let expected = six_digits(expected.into());
                writeln!(out, "  device {osd}:\t\t stored : {stored}\t expected : {expected}")?;
            }
        }
        Ok(())
    }

    /// Utilization comes with the statistics.
    fn statistics(&self) -> bool {
        self.statistics || self.utilization || self.utilization_all
    }

    fn inputs(&self) -> (u32, u32) {
        self.inputs.unwrap_or((0, 1023))
    }
}

/// A number as C++'s streams print it.
fn six_digits(v: f64) -> String {
    if v == 0.0 {
        return "0".to_owned();
    }
    let exponent = v.abs().log10().floor() as i32;
    if !(-5..6).contains(&exponent) {
        let text = format!("{v:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let power: i32 = power.parse().unwrap_or(0);
        return format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    }
    let text = format!("{v:.*}", usize::try_from(5 - exponent).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl CrushMap {
    /// How many replicas a rule can place at most (Ceph: `get_maximum_affected_by_rule`, with its habit of
    /// taking the argument of any step for a bucket type).
    fn most_replicas(&self, rule: u32) -> u32 {
        let mut wanted: BTreeMap<i32, i32> = BTreeMap::new();
        for step in self.rule(rule).map(|r| r.steps.as_slice()).unwrap_or_default() {
            if !matches!(step.op, StepOp::Noop | StepOp::Take | StepOp::Emit) {
                wanted.insert(step.arg2, step.arg1);
            }
        }
        let mut most = i32::try_from(self.max_buckets()).unwrap_or(i32::MAX).max(self.max_devices());
        for (kind, number) in wanted {
            let of_kind = self.buckets().filter(|b| i32::from(b.type_id) == kind).count();
            let mut there = i32::try_from(of_kind).unwrap_or(i32::MAX);
            if number > 0 && number < there {
                there = number;
            }
            if there > 0 {
                most = most.min(there);
            }
        }
        u32::try_from(most).unwrap_or(0)
    }
}
