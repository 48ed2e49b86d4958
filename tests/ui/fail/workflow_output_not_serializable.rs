use saga_runtime::prelude::*;

#[derive(serde::Deserialize)]
struct Opaque;

#[workflow]
async fn saga() -> saga_runtime::Result<Opaque> {
    Ok(Opaque)
}

fn main() {}
