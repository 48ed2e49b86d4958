use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum Failure {
    #[error("one")]
    #[transient(no_efect)]
    One,
}

fn main() {}
