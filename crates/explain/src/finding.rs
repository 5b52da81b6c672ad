//! What was found: a cause, what it means, and what helps.

use types::{OsdId, PgId, PoolId};

use crate::command::Command;

/// How bad it is for whoever uses the cluster; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Data may be lost or damaged.
    Damage,
    /// Clients wait.
    Blocked,
    /// It goes on, with less to spare.
    Weak,
    /// It mends itself, or is worth knowing.
    Note,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Damage => "data at risk",
            Self::Blocked => "clients wait",
            Self::Weak => "weakened",
            Self::Note => "note",
        }
    }
}

/// Whether a command may be carried out now; each with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Safety {
    Yes(String),
    No(String),
    /// Counts as unsafe.
    NotKnown(String),
}

impl Safety {
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Yes(_) => "safe",
            Self::No(_) => "NOT SAFE",
            Self::NotKnown(_) => "not known to be safe",
        }
    }

    pub fn why(&self) -> &str {
        match self {
            Self::Yes(why) | Self::No(why) | Self::NotKnown(why) => why,
        }
    }
}

/// Whether it comes right by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub helps: bool,
    /// An estimate, where there is a rate or a timer.
    pub seconds: Option<u64>,
    pub text: String,
}

impl Waiting {
    pub fn no(text: impl Into<String>) -> Self {
        Self { helps: false, seconds: None, text: text.into() }
    }

    pub fn yes(seconds: Option<u64>, text: impl Into<String>) -> Self {
        Self { helps: true, seconds, text: text.into() }
    }
}

/// A command that helps.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    pub command: Command,
    /// What it will do.
    pub does: String,
    pub risk: String,
    pub safe: Safety,
}

/// See the file's documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The cause's own name.
    pub cause: &'static str,
    pub severity: Severity,
    /// One sentence.
    pub sentence: String,
    pub evidence: Vec<String>,
    pub data: String,
    pub io: String,
    pub waiting: Waiting,
    pub advice: Vec<Advice>,
    pub pgs: Vec<PgId>,
    pub osds: Vec<OsdId>,
    pub pools: Vec<PoolId>,
    /// The health checks that it explains.
    pub health: Vec<String>,
}

pub(crate) fn codes(all: &[&str]) -> Vec<String> {
    all.iter().map(|code| (*code).to_owned()).collect()
}
