use saga_runtime::prelude::*;

#[derive(serde::Serialize, Event)]
struct Approval;

fn main() {}
