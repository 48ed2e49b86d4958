//! The test kit, as a user of the framework meets it.

#![allow(missing_docs, reason = "tests are named as sentences")]

mod explore;
mod order;
mod replay;
mod time;
