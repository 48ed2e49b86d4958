use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum Failure {
    #[error("one")]
    #[transient(retry_after = wait)]
    One { wait: u64 },
}

fn main() {}
