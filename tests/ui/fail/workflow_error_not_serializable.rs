use saga_runtime::prelude::*;

#[derive(Debug, thiserror::Error, serde::Deserialize)]
#[error("opaque")]
struct Opaque;

#[workflow]
async fn saga() -> Result<(), Opaque> {
    Err(Opaque)
}

fn main() {}
