//! Where log lines go, and how many there are.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use node::{Level, Logging};
use tracing_subscriber::EnvFilter;

/// Lines that are kept in memory.
const KEPT_MAX: usize = 1000;
/// The log file of this process, to open it again.
static LOG_FILE: Mutex<Option<(PathBuf, File)>> = Mutex::new(None);

/// Sends the process's log lines to a file, or to stderr without one. `RUST_LOG` says how much at most of what is not
/// a daemon's own; by default what changes state and worse.
///
/// # Errors
/// The file cannot be opened.
pub fn init_log(file: Option<&Path>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,spirula=trace"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match file {
        Some(path) => {
            *log_file() = Some((path.to_owned(), open(path)?));
            // A second call (tests) keeps the first one's choice.
            let _ = builder.with_ansi(false).with_writer(|| ToFile).try_init();
        }
        None => {
            let _ = builder.with_writer(std::io::stderr).try_init();
        }
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot open the log file {}", path.display()))
}

fn log_file() -> std::sync::MutexGuard<'static, Option<(PathBuf, File)>> {
    LOG_FILE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The log file, as a writer of which there may be many.
struct ToFile;

impl Write for ToFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut *log_file() {
            Some((_, file)) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A daemon's own lines: which are written, which kept, as its options say at the moment.
#[derive(Debug, Default)]
pub(crate) struct Logbook {
    logging: Logging,
    kept: VecDeque<String>,
}

impl Logbook {
    /// Takes what holds from now on.
    pub fn follow(&mut self, now: Logging) {
        if now == self.logging {
            return;
        }
        let before = std::mem::replace(&mut self.logging, now);
        if before.reopens != now.reopens
            && let Some((path, file)) = &mut *log_file()
        {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => eprintln!("{error:#}"),
            }
        }
        if before.dumps != now.dumps {
            tracing::info!("--- {} lines that were kept in memory:", self.kept.len());
            self.kept.drain(..).for_each(|line| tracing::info!("kept: {line}"));
            tracing::info!("--- end of what was kept");
        }
    }

    /// Whether inputs and outputs are to be told.
    pub fn tells_all(&self) -> bool {
        self.logging.own.max(self.logging.keep) >= 20
    }

    /// Whether a message is to be told; `often` says whether it is of a kind that comes by the second.
    pub fn tells_message(&self, often: impl FnOnce() -> bool) -> bool {
        self.logging.ms >= 5 || self.logging.ms >= 1 && !often()
    }

    pub fn line(&mut self, level: Level, text: &str) {
        let number = match level {
            Level::Error | Level::Warn => 0,
            Level::Info => 1,
            Level::Debug => 10,
        };
        self.put(level, number, text);
    }

    /// An input or output, in a few words.
    pub fn step(&mut self, text: &str) {
        self.put(Level::Debug, 20, text);
    }

    /// A message that was heard or said.
    pub fn message(&mut self, text: &str) {
        if self.logging.written {
            tracing::debug!(target: "spirula", "{text}");
        }
    }

    fn put(&mut self, level: Level, number: u8, text: &str) {
        let Logging { own, keep, written, .. } = self.logging;
        if number <= keep {
            if self.kept.len() >= KEPT_MAX {
                self.kept.pop_front();
            }
            self.kept.push_back(text.to_owned());
        }
        if number > own || (!written && level != Level::Error) {
            return;
        }
        match level {
            Level::Debug => tracing::debug!(target: "spirula", "{text}"),
            Level::Info => tracing::info!(target: "spirula", "{text}"),
            Level::Warn => tracing::warn!(target: "spirula", "{text}"),
            Level::Error => tracing::error!(target: "spirula", "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_the_second_number_says() {
        let mut book = Logbook::default();
        book.line(Level::Info, "one");
        book.line(Level::Debug, "two");
        book.follow(Logging { keep: 20, own: 0, ..Logging::default() });
        assert!(book.tells_all() && !book.tells_message(|| false));
        book.line(Level::Debug, "three");
        book.step("four");
        assert_eq!(book.kept, ["one", "three", "four"]);
        book.follow(Logging { keep: 20, own: 0, dumps: 1, ..Logging::default() });
        assert!(book.kept.is_empty());
    }
}
