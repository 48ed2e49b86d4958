use saga_runtime::RunHandle;
use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Approval;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    Ok(())
}

async fn approve(run: &RunHandle<saga>) {
    let _ = run.send(Approval).await;
}

fn main() {
    let _ = approve;
}
