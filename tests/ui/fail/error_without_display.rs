use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, Classify)]
struct Opaque;

#[activity]
async fn greet(name: String) -> Result<String, Opaque> {
    Ok(name)
}

fn main() {}
