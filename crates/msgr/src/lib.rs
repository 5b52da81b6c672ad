//! An msgr2 connection as a value: banner, frames, handshake, session, replay.
