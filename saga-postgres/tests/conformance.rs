//! The store keeps the contract of `saga_store::Store`.

mod common;

saga_store::conformance!(common::fresh);
