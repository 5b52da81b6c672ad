//! `do_rule`: from a number to devices.
//!
//! A rule takes a bucket, walks down choosing items (each algorithm in its own way), and tries again
//! when it meets the same item twice or a device that is out. *firstn* closes the gaps that failures
//! leave, *indep* keeps every position for itself and leaves [`ITEM_NONE`] in the gap.
//!
//! Which tries count, and with which `r` they are made, decides where all data lies, so every detail
//! follows `crush/mapper.c`. Unlike there, a hostile map ends the search instead of the process:
//! dangling items count as bad ones, a descent is at most as deep as there are buckets, and a whole
//! rule has a budget of draws far beyond what any real map uses.

use crate::draw::{draw_list, draw_straw, draw_straw2, draw_tree, hash3};
use crate::{Bucket, ChooseArgs, CrushMap, ITEM_NONE, StepOp, Weights, hash};

/// Not chosen yet; never leaves this file (Ceph: `CRUSH_ITEM_UNDEF`).
const ITEM_UNDEF: i32 = 0x7fff_fffe;

/// Items looked at by one rule before it gives up. Ordinary maps need hundreds.
const BUDGET: u32 = 1 << 24;

/// Buffers of [`CrushMap::do_rule_in`], kept between calls so that a mapping allocates nothing.
#[derive(Debug, Default)]
pub struct Workspace {
    taken: Vec<i32>,
    chosen: Vec<i32>,
    leaves: Vec<i32>,
    result: Vec<i32>,
    perms: Vec<Permutation>,
}

/// A bucket's items in a random order for one input, as far as it was needed yet.
#[derive(Debug)]
struct Permutation {
    bucket: i32,
    order: Vec<u32>,
    known: usize,
}

impl CrushMap {
    /// Maps `x` by the rule to up to `result_max` devices. `weights` are the 16.16 in/out weights of the
    /// devices, `pool` selects the choose_args. An unknown rule maps to nothing.
    pub fn do_rule(&self, rule: u32, x: u32, result_max: usize, weights: &[u32], pool: i64) -> Vec<i32> {
        self.do_rule_in(&mut Workspace::default(), rule, x, result_max, weights, pool).to_vec()
    }

    /// [`Self::do_rule`] without allocating.
    pub fn do_rule_in<'w>(
        &self,
        work: &'w mut Workspace,
        rule: u32,
        x: u32,
        result_max: usize,
        weights: &[u32],
        pool: i64,
    ) -> &'w [i32] {
        let Workspace { taken, chosen, leaves, result, perms } = work;
        result.clear();
        taken.clear();
        perms.clear();
        let Some(rule) = self.rule(rule) else { return result };
        let t = &self.tunables;
        let mut search = Search {
            map: self,
            args: self.choose_args_for(pool),
            weights,
            x,
            perms,
            budget: BUDGET,
            // The tunable counts retries.
            tries: t.choose_total_tries.saturating_add(1),
            leaf_tries: 0,
            local_retries: t.choose_local_tries,
            fallback_retries: t.choose_local_fallback_tries,
            vary_r: t.chooseleaf_vary_r.into(),
            stable: t.chooseleaf_stable != 0,
        };
        for step in &rule.steps {
            let positive = u32::try_from(step.arg1).ok().filter(|n| *n > 0);
            let natural = u32::try_from(step.arg1).ok();
            match step.op {
                StepOp::Take => {
                    if (0..self.max_devices).contains(&step.arg1) || self.bucket(step.arg1).is_some() {
                        taken.clear();
                        taken.push(step.arg1);
                    }
                }
                StepOp::SetChooseTries => search.tries = positive.unwrap_or(search.tries),
                StepOp::SetChooseleafTries => search.leaf_tries = positive.unwrap_or(search.leaf_tries),
                StepOp::SetChooseLocalTries => search.local_retries = natural.unwrap_or(search.local_retries),
                StepOp::SetChooseLocalFallbackTries => {
                    search.fallback_retries = natural.unwrap_or(search.fallback_retries);
                }
                StepOp::SetChooseleafVaryR => search.vary_r = natural.unwrap_or(search.vary_r),
                StepOp::SetChooseleafStable => search.stable = natural.map_or(search.stable, |n| n != 0),
                StepOp::ChooseFirstn | StepOp::ChooseleafFirstn | StepOp::ChooseIndep | StepOp::ChooseleafIndep => {
                    search.choose(step, result_max, taken, chosen, leaves);
                }
                StepOp::Emit => {
                    result.extend(taken.drain(..).take(result_max - result.len()));
                }
                StepOp::Noop | StepOp::Unknown(_) => {}
            }
        }
        result
    }
}

/// One run of a rule: the input, and the tunables as the rule's steps have changed them.
struct Search<'a> {
    map: &'a CrushMap,
    args: Option<&'a ChooseArgs>,
    weights: &'a [u32],
    x: u32,
    perms: &'a mut Vec<Permutation>,
    budget: u32,
    tries: u32,
    /// 0 until a step sets it.
    leaf_tries: u32,
    local_retries: u32,
    fallback_retries: u32,
    vary_r: u32,
    stable: bool,
}

/// How one level of firstn is to choose.
struct Firstn {
    count: i32,
    type_id: i32,
    tries: u32,
    /// Tries below each item of the type; `None` if no device below it is asked for.
    leaf_tries: Option<u32>,
    parent_r: i32,
}

/// How one level of indep is to choose.
struct Indep {
    /// What the whole step asks for: the stride of retries.
    count: i32,
    type_id: i32,
    tries: u32,
    leaf_tries: Option<u32>,
    parent_r: i32,
}

/// What a walk from a bucket down to an item of the wanted type met.
enum Descent {
    Found(i32),
    /// An empty bucket, or a budget that is used up: another try may do better.
    Reject,
    /// An item that cannot be: this position stays empty.
    Bad,
}

impl<'a> Search<'a> {
    /// A choose step: every bucket in `taken` is replaced by what is chosen below it.
    fn choose(
        &mut self,
        step: &crate::Step,
        result_max: usize,
        taken: &mut Vec<i32>,
        chosen: &mut Vec<i32>,
        leaves: &mut Vec<i32>,
    ) {
        if taken.is_empty() {
            return;
        }
        let to_leaf = matches!(step.op, StepOp::ChooseleafFirstn | StepOp::ChooseleafIndep);
        let firstn = matches!(step.op, StepOp::ChooseFirstn | StepOp::ChooseleafFirstn);
        let max = i32::try_from(result_max).unwrap_or(i32::MAX);
        let count = if step.arg1 <= 0 { step.arg1.saturating_add(max) } else { step.arg1 };
        chosen.clear();
        leaves.clear();
        for item in taken.iter().filter(|_| count > 0) {
            // The item may be a device or ITEM_NONE, left by an earlier step.
            let Some(bucket) = self.map.bucket(*item) else { continue };
            let room = result_max - chosen.len();
            let base = chosen.len();
            if firstn {
                let leaf_tries = match self.leaf_tries {
                    0 if self.map.tunables.chooseleaf_descend_once != 0 => 1,
                    0 => self.tries,
                    n => n,
                };
                let how = Firstn {
                    count,
                    type_id: step.arg2,
                    tries: self.tries,
                    leaf_tries: to_leaf.then_some(leaf_tries),
                    parent_r: 0,
                };
                self.firstn(bucket, &how, chosen, leaves, base, room);
            } else {
                let room = room.min(usize::try_from(count).expect("count is positive"));
                let how = Indep {
                    count,
                    type_id: step.arg2,
                    tries: self.tries,
                    leaf_tries: to_leaf.then_some(self.leaf_tries.max(1)),
                    parent_r: 0,
                };
                chosen.resize(base + room, ITEM_UNDEF);
                leaves.resize(base + room, ITEM_UNDEF);
                self.indep(bucket, &how, &mut chosen[base..], Some(&mut leaves[base..]), 0);
            }
        }
        std::mem::swap(taken, if to_leaf { leaves } else { chosen });
    }

    /// Appends up to `room` items to `out` (and the device below each to `leaves`, if devices are asked
    /// for). Only what `out` holds from `base` on may not be chosen again (Ceph: `crush_choose_firstn`).
    fn firstn(
        &mut self,
        bucket: &'a Bucket,
        how: &Firstn,
        out: &mut Vec<i32>,
        leaves: &mut Vec<i32>,
        base: usize,
        mut room: usize,
    ) {
        let mut rep = 0;
        while rep < how.count && room > 0 {
            if let Some(item) = self.firstn_one(bucket, how, rep, out, leaves, base, room) {
                out.push(item);
                room -= 1;
            }
            rep += 1;
            if self.budget == 0 {
                return;
            }
        }
    }

    /// One position of firstn; `None` gives it up.
    #[expect(clippy::too_many_arguments, reason = "the state of the search at one position")]
    fn firstn_one(
        &mut self,
        bucket: &'a Bucket,
        how: &Firstn,
        rep: i32,
        out: &[i32],
        leaves: &mut Vec<i32>,
        base: usize,
        room: usize,
    ) -> Option<i32> {
        let position = out.len() - base;
        let mut failed: u32 = 0;
        'descent: loop {
            let mut here = bucket;
            let mut failed_here: u32 = 0;
            loop {
                let r = rep.wrapping_add(how.parent_r).wrapping_add(failed.cast_signed());
                // Walk down from `here`, remembering the last bucket: local retries start there.
                let found = loop {
                    if here.items.is_empty() {
                        self.spend(1);
                        break Descent::Reject;
                    }
                    let exhaustive = self.fallback_retries > 0
                        && failed_here as usize >= here.items.len() >> 1
                        && failed_here > self.fallback_retries;
                    let item = if exhaustive { self.permuted(here, r) } else { self.draw(here, r, position) };
                    match self.look(item, how.type_id) {
                        Look::Wanted(item) => break Descent::Found(item),
                        Look::Below(next) => here = next,
                        Look::Bad => break Descent::Bad,
                    }
                    if self.budget == 0 {
                        break Descent::Bad;
                    }
                };
                let mut collision = false;
                match found {
                    Descent::Bad => return None,
                    Descent::Reject => {}
                    Descent::Found(item) => {
                        collision = out[base..].contains(&item);
                        if !collision && self.firstn_accepts(item, how, r, leaves, base, position, room) {
                            return Some(item);
                        }
                    }
                }
                failed += 1;
                failed_here += 1;
                let again_here = (collision && failed_here <= self.local_retries)
                    || (self.fallback_retries > 0
                        && failed_here as usize <= here.items.len() + self.fallback_retries as usize);
                if self.budget == 0 {
                    return None;
                }
                if !again_here {
                    if failed < how.tries {
                        continue 'descent;
                    }
                    return None;
                }
            }
        }
    }

    /// Whether a device is found below the item (if one is asked for), and is not out.
    #[expect(clippy::too_many_arguments, reason = "the state of the search at one position")]
    fn firstn_accepts(
        &mut self,
        item: i32,
        how: &Firstn,
        r: i32,
        leaves: &mut Vec<i32>,
        base: usize,
        position: usize,
        room: usize,
    ) -> bool {
        let Some(tries) = how.leaf_tries else {
            return item < 0 || !self.is_out(item);
        };
        let Some(below) = self.map.bucket(item) else {
            // Already a device.
            if self.is_out(item) {
                return false;
            }
            leaves.push(item);
            return true;
        };
        let parent_r = match self.vary_r {
            0 => 0,
            n => r.checked_shr(n - 1).unwrap_or(0),
        };
        // `stable`: every replica starts its own search at 0, so that losing one moves no other.
        let first = if self.stable { 0 } else { i32::try_from(position).unwrap_or(i32::MAX - 1) };
        let leaf = Firstn { count: 1, type_id: 0, tries, leaf_tries: None, parent_r };
        if room == 0 {
            return false;
        }
        let found = self.firstn_one(below, &leaf, first, &leaves[..], &mut Vec::new(), base, room);
        leaves.extend(found);
        found.is_some()
    }

    /// Fills the undefined positions of `out`, each for itself. `first` is the place of `out[0]` in the
    /// result (Ceph: `crush_choose_indep`).
    fn indep(
        &mut self,
        bucket: &'a Bucket,
        how: &Indep,
        out: &mut [i32],
        mut leaves: Option<&mut [i32]>,
        first: usize,
    ) {
        let first = i32::try_from(first).unwrap_or(i32::MAX);
        let mut left = out.len();
        let mut failed: u32 = 0;
        while left > 0 && failed < how.tries && self.budget > 0 {
            for at in 0..out.len() {
                if out[at] != ITEM_UNDEF {
                    continue;
                }
                let rep = first.wrapping_add(i32::try_from(at).unwrap_or(i32::MAX));
                let mut here = bucket;
                let (found, r) = loop {
                    let r = rep.wrapping_add(how.parent_r).wrapping_add(stride(here, how.count, failed));
                    if here.items.is_empty() {
                        self.spend(1);
                        break (Descent::Reject, r);
                    }
                    let item = self.draw(here, r, usize::try_from(first).unwrap_or(0));
                    match self.look(item, how.type_id) {
                        Look::Wanted(item) => break (Descent::Found(item), r),
                        Look::Below(next) => here = next,
                        Look::Bad => break (Descent::Bad, r),
                    }
                    if self.budget == 0 {
                        break (Descent::Bad, r);
                    }
                };
                match found {
                    Descent::Reject => continue,
                    Descent::Bad => {
                        out[at] = ITEM_NONE;
                        if let Some(leaves) = &mut leaves {
                            leaves[at] = ITEM_NONE;
                        }
                        left -= 1;
                    }
                    Descent::Found(item) => {
                        if out.contains(&item) {
                            continue;
                        }
                        if let Some(tries) = how.leaf_tries {
                            let leaf = match self.map.bucket(item) {
                                None => item,
                                Some(below) => {
                                    let leaf =
                                        Indep { count: how.count, type_id: 0, tries, leaf_tries: None, parent_r: r };
                                    let mut one = [ITEM_UNDEF];
                                    self.indep(below, &leaf, &mut one, None, rep.unsigned_abs() as usize);
                                    one[0]
                                }
                            };
                            if let Some(leaves) = &mut leaves {
                                leaves[at] = leaf;
                            }
                            if leaf == ITEM_NONE {
                                continue;
                            }
                        }
                        if item >= 0 && self.is_out(item) {
                            continue;
                        }
                        out[at] = item;
                        left -= 1;
                    }
                }
            }
            failed += 1;
        }
        let undefined = |slot: &&mut i32| **slot == ITEM_UNDEF;
        out.iter_mut().filter(undefined).for_each(|slot| *slot = ITEM_NONE);
        if let Some(leaves) = leaves {
            leaves.iter_mut().filter(undefined).for_each(|slot| *slot = ITEM_NONE);
        }
    }

    fn spend(&mut self, items: usize) {
        self.budget = self.budget.saturating_sub(u32::try_from(items).unwrap_or(u32::MAX));
    }

    /// What an item is to a search for items of `type_id`.
    fn look(&self, item: Option<i32>, type_id: i32) -> Look<'a> {
        match item {
            Some(device) if device >= 0 => {
                if type_id == 0 && device < self.map.max_devices {
                    Look::Wanted(device)
                } else {
                    Look::Bad
                }
            }
            Some(id) => match self.map.bucket(id) {
                Some(b) if i32::from(b.type_id) == type_id => Look::Wanted(id),
                Some(b) => Look::Below(b),
                None => Look::Bad,
            },
            None => Look::Bad,
        }
    }

    /// Whether the device is (partly) out for this input (Ceph: `is_out`).
    fn is_out(&self, device: i32) -> bool {
        let Some(weight) = usize::try_from(device).ok().and_then(|d| self.weights.get(d)) else { return true };
        match *weight {
            crate::WEIGHT_ONE.. => false,
            0 => true,
            weight => hash::hash2(self.x, device.cast_unsigned()) & 0xffff >= weight,
        }
    }

    /// The bucket's choice number `r`; `None` if a malformed bucket has none.
    fn draw(&mut self, b: &'a Bucket, r: i32, position: usize) -> Option<i32> {
        self.spend(b.items.len());
        // Whatever is drawn, the only item wins: so are roots over one host, on one machine.
        if let [only] = b.items[..] {
            return Some(only);
        }
        let x = self.x;
        match &b.weights {
            Weights::Uniform(_) => self.permuted(b, r),
            Weights::List { items, sums } => draw_list(b, items, sums, x, r),
            Weights::Tree { nodes } => draw_tree(b, nodes, x, r),
            Weights::Straw { straws, .. } => draw_straw(b, straws, x, r),
            Weights::Straw2(weights) => {
                let arg = self.args.and_then(|args| args.get(&(-1 - b.id).cast_unsigned()));
                draw_straw2(b, weights, arg, x, r, position)
            }
        }
    }

    /// The item at place `r` of the bucket's random order (Ceph: `bucket_perm_choose`).
    fn permuted(&mut self, b: &Bucket, r: i32) -> Option<i32> {
        let size = b.items.len();
        let place = r.cast_unsigned() as usize % size;
        let at = self.perms.iter().position(|p| p.bucket == b.id).unwrap_or_else(|| {
            let order = (0..u32::try_from(size).expect("decoded sizes are 32-bit")).collect();
            self.perms.push(Permutation { bucket: b.id, order, known: 0 });
            self.perms.len() - 1
        });
        let perm = &mut self.perms[at];
        while perm.known <= place {
            let p = perm.known;
            if p + 1 < size {
                let draw = hash3(b, self.x, b.id.cast_unsigned(), u32::try_from(p).expect("below size"));
                perm.order.swap(p, p + draw as usize % (size - p));
            }
            perm.known += 1;
        }
        b.items.get(perm.order[place] as usize).copied()
    }
}

/// The result of [`Search::look`].
enum Look<'a> {
    Wanted(i32),
    Below(&'a Bucket),
    Bad,
}

/// How far retry number `failed` of indep is from the first try. Uniform buckets whose size is a multiple
/// of the count would otherwise meet the same items again.
fn stride(b: &Bucket, count: i32, failed: u32) -> i32 {
    let multiple =
        matches!(b.weights, Weights::Uniform(_)) && b.items.len().is_multiple_of(count.unsigned_abs() as usize);
    let step = if multiple { count.wrapping_add(1) } else { count };
    step.wrapping_mul(failed.cast_signed())
}
