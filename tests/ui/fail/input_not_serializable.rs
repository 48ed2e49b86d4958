use saga_runtime::prelude::*;

struct Opaque;

#[activity]
async fn greet(name: String, opaque: Opaque) -> saga_runtime::Result<String> {
    let Opaque = opaque;
    Ok(name)
}

fn main() {}
