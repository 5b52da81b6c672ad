//! CRUSH against what `crushtool` 16.2.15 printed and wrote.

mod edit;
mod encoding;
mod mapping;
mod support;
mod text;
mod trial;
