use saga_runtime::prelude::*;

#[derive(serde::Deserialize)]
struct Opaque;

#[activity]
async fn greet() -> saga_runtime::Result<Opaque> {
    Ok(Opaque)
}

fn main() {}
