//! The text form of a map, as `crushtool -d` writes and `crushtool -c` reads it.

mod compile;
mod decompile;

pub use compile::CompileError;
