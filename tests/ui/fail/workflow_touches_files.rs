use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::fs::read("orders");
    let _ = std::fs::File::open("orders")?;
    let _ = tokio::fs::read("orders").await?;
    Ok(())
}

fn main() {}
