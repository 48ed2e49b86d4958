use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = tokio::sync::Mutex::new(7).lock().await;
    Ok(())
}

fn main() {}
