//! What happened, as a hash that two runs of one seed must share, and as text for people.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use node::Input;

use crate::world::HostId;

/// Collects a run's events.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    /// Keep the text too, the last so many lines.
    pub keep_text: bool,
    pub limit: usize,
    text: VecDeque<String>,
    /// Whether a node may log an error without failing the run.
    pub errors_allowed: bool,
    answers: BTreeMap<(HostId, u64), String>,
}

impl Trace {
    /// One that keeps the last `limit` lines; none for 0.
    pub fn keeping(limit: usize) -> Self {
        Self { keep_text: limit > 0, limit, ..Self::default() }
    }

    /// The same for two runs if, and almost only if, the same things happened in the same order.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.iter().map(String::as_str)
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        let crc = types::crc32c(0, bytes);
        self.mix(u64::from(crc) ^ ((bytes.len() as u64) << 32));
    }

    fn keep(&mut self, line: String) {
        if self.text.len() >= self.limit {
            self.text.pop_front();
        }
        self.text.push_back(line);
    }

    pub fn line(&mut self, now: Duration, who: &str, what: &str) {
        self.mix(now.as_nanos() as u64);
        self.mix_bytes(who.as_bytes());
        self.mix_bytes(what.as_bytes());
        if self.keep_text {
            self.keep(format!("{:>12.6} {who}: {what}", now.as_secs_f64()));
        }
    }

    /// Bytes that arrived; what they say follows as an input.
    pub(crate) fn bytes(&mut self, now: Duration, pipe: usize, bytes: &[u8]) {
        self.mix(now.as_nanos() as u64);
        self.mix(pipe as u64);
        self.mix_bytes(bytes);
    }

    pub(crate) fn input(&mut self, now: Duration, who: &str, input: &Input) {
        if !self.keep_text {
            return self.mix(now.as_nanos() as u64);
        }
        let text = match input {
            Input::Message { conn, msg, .. } => {
                let mut text = format!("{msg:?}");
                if let Some((at, _)) = text.char_indices().nth(1_500) {
                    text.truncate(at);
                    text += "…";
                }
                format!("{conn:?} {} {text}", msg.body.name())
            }
            Input::Committed(token) => format!("committed {}", token.0),
            Input::ReadDone { token, result } => format!("read {} {}", token.0, result.is_ok()),
            Input::Wake | Input::Continue => return self.mix(now.as_nanos() as u64),
            other => format!("{other:?}"),
        };
        self.mix(now.as_nanos() as u64);
        self.keep(format!("{:>12.6} {who}: {text}", now.as_secs_f64()));
    }

    pub(crate) fn admin(&mut self, host: HostId, id: u64, body: String) {
        self.mix_bytes(body.as_bytes());
        self.answers.insert((host, id), body);
    }

    /// Takes a host's answer to an admin command.
    pub fn take_answer(&mut self, host: HostId, id: u64) -> Option<String> {
        self.answers.remove(&(host, id))
    }
}
