//! The plain harness: the corpus, and what comes of mangling it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Target;
use crate::mangle::{Dice, mangle};

/// Pieces that meant something join the pool, as far as it goes.
const POOL: usize = 4_000;

/// What a target was fed.
#[derive(Debug, Clone, Copy)]
pub struct Fed {
    /// Pieces of the corpus.
    pub corpus: usize,
    /// Pieces that came of mangling.
    pub mangled: u64,
    /// Those that meant something.
    pub understood: u64,
}

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind).join(target.name)
}

/// The committed pieces of a target, in the order of their names.
///
/// # Panics
///
/// If they cannot be read.
pub fn corpus_of(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = std::fs::read_dir(folder("corpus", target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("the corpus can be read").path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

/// Puts a piece into the corpus.
///
/// # Panics
///
/// If it cannot be written.
pub fn keep(target: &Target, name: &str, bytes: &[u8]) {
    write(&folder("corpus", target), name, bytes);
}

/// A piece of the corpus, if it is there.
pub fn kept(target: &Target, name: &str) -> Option<Vec<u8>> {
    std::fs::read(folder("corpus", target).join(name)).ok()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, bytes));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// Feeds a target its corpus, and then mangled pieces: at least so many, and for at least so long.
///
/// # Panics
///
/// If the target does. The bytes are written to `fuzz/artifacts`, and the message says where.
pub fn feed(target: &Target, seed: u64, rounds: u64, time: Duration) -> Fed {
    let corpus = corpus_of(target);
    assert!(!corpus.is_empty(), "the corpus of {} is empty", target.name);
    for (path, bytes) in &corpus {
        let taken = catch_unwind(|| (target.take)(bytes));
        assert!(taken.is_ok(), "{} panics on {}", target.name, path.display());
    }
    let mut fed = Fed { corpus: corpus.len(), mangled: 0, understood: 0 };
    let mut pool: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    // Longer ones say the same again, and take long.
    let longest = 2 * pool.iter().map(Vec::len).max().unwrap_or_default();
    let (mut dice, until) = (Dice::new(seed), Instant::now() + time);
    while fed.mangled < rounds || Instant::now() < until {
        let bytes = mangle(&mut dice, &pool, target.words, longest);
        let Ok(understood) = catch_unwind(AssertUnwindSafe(|| (target.take)(&bytes))) else {
            let path = write(&folder("artifacts", target), &format!("seed-{seed}-{}", fed.mangled), &bytes);
            let text = String::from_utf8_lossy(&bytes);
            panic!("{} panics, seed {seed}, piece {}: {}\n{text}", target.name, fed.mangled, path.display());
        };
        fed.mangled += 1;
        if understood {
            fed.understood += 1;
            if pool.len() < POOL {
                pool.push(bytes);
            }
        }
    }
    fed
}
