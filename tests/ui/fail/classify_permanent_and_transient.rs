use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum Failure {
    #[error("one")]
    #[permanent]
    #[transient]
    One,
}

fn main() {}
