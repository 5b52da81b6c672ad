//! CRUSH: which devices hold a placement group, computed from a small map and never looked up.
//!
//! Start at [`CrushMap`]: buckets (host, rack, root, …) over devices, rules that walk them, names,
//! tunables, device classes. [`CrushMap::do_rule`] maps a number to devices, bit for bit as in Ceph;
//! `codec` reads and writes Ceph's binary form; `edit`, `class` and `rules` are what an operator does
//! to a map; [`CrushMap::compile`] and [`CrushMap::decompile`] are its text form.
//!
//! Invariants:
//! - A mapping depends on nothing but the map, the input number and the weights handed in.
//! - A map from outside may be as hostile as it likes (cycles, dangling items, absurd tunables):
//!   decoding it and mapping with it is bounded and never panics. [`CrushMap::validate`] says whether it
//!   is fit to become the cluster's.
//! - Shadow buckets (`NAME~CLASS`) mirror the plain ones; `class` alone creates and removes them.

#![forbid(unsafe_code)]

mod build;
mod class;
mod codec;
mod draw;
mod edit;
mod error;
pub mod hash;
mod ln;
mod map;
mod mapper;
mod rules;
mod tester;
mod text;
mod tree;
mod tunables;
mod validate;
mod weigh;
mod weight_set;

pub use edit::{Location, is_valid_name};
pub use error::CrushError;
pub use map::{Bucket, BucketAlg, ChooseArg, ChooseArgs, CrushMap, Rule, RuleKind, Step, StepOp, Weights};
pub use mapper::Workspace;
pub use rules::Mode;
pub use tester::Trial;
pub use text::CompileError;
pub use tree::{TreeItem, TreeWalk};
pub use tunables::{Profile, Tunables};
pub use validate::Invalid;
pub use weigh::weight_from_float;

/// No device could be found for this position (Ceph: `CRUSH_ITEM_NONE`).
pub const ITEM_NONE: i32 = 0x7fff_ffff;

/// The choose_args that serve every pool without some of its own (Ceph: `DEFAULT_CHOOSE_ARGS`).
pub const DEFAULT_CHOOSE_ARGS: i64 = -1;

/// One, as a 16.16 fixed-point weight.
pub const WEIGHT_ONE: u32 = 0x1_0000;
