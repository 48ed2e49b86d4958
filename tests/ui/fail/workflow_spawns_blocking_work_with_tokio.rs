use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = tokio::task::spawn_blocking(|| 7).await;
    Ok(())
}

fn main() {}
