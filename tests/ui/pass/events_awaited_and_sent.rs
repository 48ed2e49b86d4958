#![deny(warnings)]

use std::time::Duration;

use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize, Event)]
struct Approval {
    by: String,
}

async fn approve(client: &Client, run: &saga_runtime::RunHandle<saga>) -> Result<(), saga_runtime::ClientError> {
    let approval = || Approval { by: "Ada".to_owned() };
    client.send("ORD-1", approval()).await?;
    run.send(approval()).await?;
    client.start(saga(String::new())).with_event(approval()).await?.send(approval()).await
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let first = event::<Approval>().await;
    if let Ok(second) = event::<Approval>().timeout(Duration::from_secs(60)).await {
        send(name, second).await?;
    }
    drop(first);
    Ok(())
}

pub fn main() {
    let _ = (saga(String::new()), approve);
}
