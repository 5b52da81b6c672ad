//! Why a cluster is not healthy, what that means for data and for I/O, whether waiting helps, and what a person
//! can do about it.
//!
//! A value: [`gather()`] asks the commands that every Ceph has through whatever can ask them ([`Asker`]),
//! [`Facts::decode`] reads the answers, [`explain()`] reasons. It knows no clock, socket or thread; the command line
//! and the simulator both run it, and a recorded set of answers ([`Answers`]) explains as well as a live cluster.
//!
//! Invariants:
//!
//! - Each cause is one file in `causes/`; it reads facts and adds findings.
//! - "Safe" is proven from the facts ([`safety`]): carrying the command out loses no acknowledged write, whatever
//!   one further disk does, and stops no I/O that goes on now. What the facts do not show is "not known", which
//!   counts as unsafe. The simulator carries out every command that is called safe.

#![forbid(unsafe_code)]

pub mod answers;
mod causes;
pub mod command;
pub mod facts;
mod finding;
pub mod gather;
mod report;
pub mod safety;
pub mod scrub_list;
mod target;
mod words;

pub use answers::Answers;
pub use command::{Act, Command};
pub use facts::Facts;
pub use finding::{Advice, Finding, Safety, Severity, Waiting};
pub use gather::{Asker, Question, To, gather};
pub use report::Report;
pub use target::{Target, UnknownTarget};

/// What is wrong with a part of the cluster, or with all of it.
///
/// # Errors
/// If the cluster has no such part.
pub fn explain(facts: &Facts, target: Option<&str>) -> Result<Report, UnknownTarget> {
    let target = Target::find(facts, target)?;
    let mut findings = causes::all(facts);
    findings.retain(|f| target.concerns(f));
    // The worst first; what is equally bad in the order of the causes.
    findings.sort_by_key(|f| f.severity);
    Ok(Report::new(facts, target, findings))
}
