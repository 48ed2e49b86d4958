//! The no-op workload of `saga-bench` on other durable execution crates.

fn main() {}
