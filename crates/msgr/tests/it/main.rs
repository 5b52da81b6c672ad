//! msgr against recorded frames, against itself, and against peers that misbehave.

mod golden;
mod hostile;
mod pair;
mod sessions;
