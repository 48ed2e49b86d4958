//! Encryption and compression of what the saga framework stores.
//!
//! [`SealedStore`] stands between an engine (or a client) and any store. What it hands on is
//! sealed as a whole: records with all their inputs, outputs, error texts and activity names,
//! large payloads, events and other messages, statuses and conclusions. Nothing that a workflow
//! says can be forgotten, since the seal does not look inside.
//!
//! ```
//! use saga_runtime::MemoryStore;
//! use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (this_year, last_year) = ("aa".repeat(32), "bb".repeat(32));
//! let keys = Keys::new(KeyId(2026), this_year.parse::<Key>()?)
//!     .with_old(KeyId(2025), last_year.parse::<Key>()?);
//! let store = SealedStore::new(MemoryStore::new(), Seal::new().encrypt(keys).compress_over(1024));
//! // let engine = Engine::builder(store).start().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What stays readable
//!
//! What a store searches and sorts by: ids, names and versions of workflows, states, times, lanes,
//! search attributes, and the digest by which a second start with another input is noticed. Do not
//! put secrets there. The length of what is sealed can be seen, too.
//!
//! # Keys
//!
//! A key has a number, which is written beside what it sealed. New data is sealed with the current
//! key; old ones open what is there. To rotate: give every process the new key as an old one, then
//! make it the current one, then drop the old one when all runs that it sealed have ended and are
//! purged. A process that lacks a key drives none of the runs that need it: it reports the key's
//! number each second and waits; nothing is lost.
//!
//! Each sealed piece is bound to its place (the run's execution and the row's position, the message's
//! or the payload's id). A row that somebody moves to another run, or alters, does not open: that run
//! is parked as dead with this reason, its neighbours are unharmed.
//!
//! The cipher is XChaCha20-Poly1305 with a random nonce for each piece; the compression LZ4.
//!
//! - [`key`]: keys and their numbers.
//! - [`seal`]: how bytes are sealed and opened.
//! - [`store`]: the store around a store.

pub mod key;
pub mod seal;
pub mod store;

pub use key::{Key, KeyError, KeyId, Keys};
pub use seal::{OpenError, Place, Seal};
pub use store::SealedStore;
