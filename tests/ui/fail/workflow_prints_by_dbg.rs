use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = dbg!(7);
    Ok(())
}

fn main() {}
