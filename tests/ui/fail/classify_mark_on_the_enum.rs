use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
#[permanent]
enum Failure {
    #[error("one")]
    One,
}

fn main() {}
