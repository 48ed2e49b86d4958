use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("opaque")]
struct Opaque;

#[activity]
async fn greet(name: String) -> Result<String, Opaque> {
    Ok(name)
}

fn main() {}
