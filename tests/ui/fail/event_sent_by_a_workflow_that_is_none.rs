use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Approval;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    send("ORD-1", Approval).await?;
    Ok(())
}

fn main() {}
