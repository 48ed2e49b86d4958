use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Approval;

async fn approve(client: &Client) {
    let _ = client.send("ORD-1", Approval).await;
}

fn main() {
    let _ = approve;
}
