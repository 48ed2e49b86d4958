use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum Failure {
    #[error("one")]
    #[transient(retry_after = wiat)]
    One { wait: std::time::Duration },
}

fn main() {}
