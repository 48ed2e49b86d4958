use saga_runtime::prelude::*;

#[derive(serde::Serialize)]
struct Opaque;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<Opaque> {
    drop(name);
    Ok(Opaque)
}

fn main() {}
