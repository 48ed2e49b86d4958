use saga_runtime::prelude::*;

#[derive(Debug, thiserror::Error, serde::Deserialize, Classify)]
#[error("opaque")]
struct Opaque;

#[activity]
async fn greet() -> Result<String, Opaque> {
    Err(Opaque)
}

fn main() {}
