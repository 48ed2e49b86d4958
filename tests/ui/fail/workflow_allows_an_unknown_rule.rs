use saga_runtime::prelude::*;

#[workflow(allow(clok))]
async fn saga() -> saga_runtime::Result<()> {
    let _ = 7;
    Ok(())
}

fn main() {}
