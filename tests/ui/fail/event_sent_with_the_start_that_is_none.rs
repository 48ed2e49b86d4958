use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Approval;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    Ok(())
}

async fn approve(client: &Client) {
    let _ = client.start(saga()).with_event(Approval).await;
}

fn main() {
    let _ = approve;
}
