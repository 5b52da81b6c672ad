//! `spirula drill`: the failures that operators meet, each played on a throw-away cluster of its own.
//!
//! A drill prints the commands as they are typed, the timeline of PG states as they happen, what each state means,
//! and whether the cluster behaved as written. The exit code says that, too. Whatever ends a drill, its cluster is
//! taken away; what a drill that was killed has left, the next one takes away.

mod plays;
mod stage;
mod states;
mod watcher;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use plays::{PLAYS, Play};
use stage::Stage;

use crate::{interrupt, suggest};

const FOLDER: &str = "spirula-drill-";

/// A line on standard output; that nobody reads any more is no reason to leave a cluster behind.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Plays a drill, or lists them; gives the exit code.
///
/// # Errors
/// If there is no such drill.
pub fn run(name: Option<&str>, keep: bool) -> Result<i32> {
    let Some(name) = name else {
        list();
        return Ok(0);
    };
    interrupt::catch();
    if name == "all" {
        let codes = PLAYS.iter().map(|play| perform(play, keep)).collect::<Result<Vec<i32>>>()?;
        return Ok(codes.into_iter().max().unwrap_or(0));
    }
    let Some(play) = PLAYS.iter().find(|p| p.name == name) else {
        let names = PLAYS.iter().map(|p| p.name);
        bail!("there is no drill '{name}'{} (`spirula drill` lists them)", suggest::did_you_mean(name, names));
    };
    perform(play, keep)
}

fn list() {
    say(format_args!("spirula drill NAME plays one of these on a cluster of its own (`all`: one after the other):"));
    for Play { name, about, .. } in PLAYS {
        say(format_args!("  {name:<15} {about}"));
    }
}

fn perform(play: &Play, keep: bool) -> Result<i32> {
    interrupt::check()?;
    take_away_rests();
    let began = Instant::now();
    let folder = std::env::temp_dir().join(format!("{FOLDER}{}-{}", play.name, std::process::id()));
    say(format_args!("drill {}: {}", play.name, play.about));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcome = Stage::new(&folder, play.osds, keep, began).map(|mut stage| {
        let played = (play.play)(&mut stage);
        (played, stage.met, stage.expected)
    });
    if !keep || interrupt::hit() {
        stage::take_away(&folder);
    }
    if interrupt::hit() {
        say(format_args!("drill {}: interrupted; its cluster is taken away", play.name));
        return Ok(interrupt::EXIT_CODE);
    }
    let (played, met, expected) = outcome?;
    let secs = began.elapsed().as_secs_f64();
    if let Err(e) = &played {
        say(format_args!("drill {}: cut short: {e:#}", play.name));
    }
    let as_written = played.is_ok() && met == expected;
    let verdict = if as_written { "behaved as written" } else { "did NOT behave as written" };
    say(format_args!(
        "drill {}: the cluster {verdict}: {met} of {expected} expectations met in {secs:.1} s\n",
        play.name
    ));
    Ok(i32::from(!as_written))
}

/// What drills that were killed have left: folders whose process is gone.
fn take_away_rests() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(FOLDER)?.rsplit_once('-')?.1.parse::<u32>().ok());
        let Some(owner) = owner else { continue };
        if !Path::new(&format!("/proc/{owner}")).exists() && !entry.path().join("kept").exists() {
            say(format_args!("taking away what a drill that was killed has left in {}", entry.path().display()));
            stage::take_away(&entry.path());
        }
    }
}
