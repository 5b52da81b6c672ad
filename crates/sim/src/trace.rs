//! What happened, as a hash that two runs of one seed must share, and as text for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use node::Input;

use crate::world::HostId;

/// Collects a run's events.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    /// Keep the text too (a lot of it); `SPIRULA_SIM_TRACE=FILE` does, and writes it when the run ends.
    pub keep_text: bool,
    pub text: String,
    /// Whether a node may log an error without failing the run.
    pub errors_allowed: bool,
    answers: BTreeMap<(HostId, u64), String>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            keep_text: std::env::var_os("SPIRULA_SIM_TRACE").is_some(),
            text: String::new(),
            errors_allowed: false,
            answers: BTreeMap::new(),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some(file) = std::env::var_os("SPIRULA_SIM_TRACE") {
            // A diagnosis that cannot be written is no reason to fail differently.
            let _ = std::fs::write(file, &self.text);
        }
    }
}

impl Trace {
    /// The same for two runs if, and almost only if, the same things happened in the same order.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.hash = (self.hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn line(&mut self, now: Duration, who: &str, what: &str) {
        self.mix(&now.as_nanos().to_le_bytes());
        self.mix(who.as_bytes());
        self.mix(what.as_bytes());
        if self.keep_text {
            let _ = writeln!(self.text, "{:>12.6} {who}: {what}", now.as_secs_f64());
        }
    }

    pub(crate) fn input(&mut self, now: Duration, who: &str, input: &Input) {
        let text = match input {
            Input::Message { conn, msg, .. } => format!("{conn:?} {} tid {}", msg.body.name(), msg.tid),
            Input::Committed(token) => format!("committed {}", token.0),
            Input::ReadDone { token, result } => format!("read {} {}", token.0, result.is_ok()),
            other => format!("{other:?}"),
        };
        self.line(now, who, &text);
    }

    pub(crate) fn admin(&mut self, host: HostId, id: u64, body: String) {
        self.mix(body.as_bytes());
        self.answers.insert((host, id), body);
    }

    /// Takes a host's answer to an admin command.
    pub fn take_answer(&mut self, host: HostId, id: u64) -> Option<String> {
        self.answers.remove(&(host, id))
    }
}
