//! What anything is fed to: one function a target. `cargo fuzz` calls them with libFuzzer
//! (`fuzz/`, a workspace of its own); the tests of this crate replay the corpus and go on from
//! there, on a stable toolchain.
//!
//! Whatever the bytes are, a target answers: it neither panics nor takes memory or time that the
//! bytes do not account for.
//!
//! - `journal`, `payload`, `replay`: what comes from a store.
//! - `tokens`: what users write.
//! - `address`, `config`: what operators write.
//! - `harness`, `mangle`: the plain harness.

mod address;
mod config;
mod harness;
mod journal;
mod mangle;
mod payload;
mod replay;
mod tokens;

pub use harness::{Fed, corpus_of, feed, keep, kept};
pub use replay::{everything, framed};

/// Something that bytes from anywhere are fed to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Takes the bytes; says whether they meant anything.
    pub take: fn(&[u8]) -> bool,
    /// Pieces that it knows, to be put in anywhere.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 6] =
    [journal::TARGET, payload::TARGET, replay::TARGET, tokens::TARGET, address::TARGET, config::TARGET];

/// The target of this name.
///
/// # Panics
///
/// If there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
}
