use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    Ok(())
}

async fn ordinary() {
    let _ = saga().await;
}

fn main() {
    drop(ordinary());
}
