use saga_runtime::prelude::*;

#[workflow]
async fn saga<T>(order: T) -> saga_runtime::Result<()> {
    drop(order);
    Ok(())
}

fn main() {}
