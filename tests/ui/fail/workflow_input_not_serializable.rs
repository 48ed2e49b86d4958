use saga_runtime::prelude::*;

struct Opaque;

#[workflow]
async fn saga(opaque: Opaque) -> saga_runtime::Result<()> {
    let Opaque = opaque;
    Ok(())
}

fn main() {}
