use saga_runtime::prelude::*;

#[workflow]
async fn saga((a, b): (u32, u32)) -> saga_runtime::Result<()> {
    drop(a + b);
    Ok(())
}

fn main() {}
