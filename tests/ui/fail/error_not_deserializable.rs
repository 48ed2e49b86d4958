use saga_runtime::prelude::*;

#[derive(Debug, thiserror::Error, serde::Serialize, Classify)]
#[error("opaque")]
struct Opaque;

#[activity]
async fn greet(name: String) -> Result<String, Opaque> {
    Ok(name)
}

fn main() {}
