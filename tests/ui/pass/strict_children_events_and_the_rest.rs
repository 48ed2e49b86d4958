#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[derive(serde::Serialize, serde::Deserialize, Event)]
struct Approval;

#[workflow(compensate = call_back(item))]
async fn parcel(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity]
async fn call_back(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let approval = event::<Approval>().await;
    let at = now();
    sleep_until(at).await;
    let host = side_effect(|| 7u32).await;
    parcel(item + host).id("PARCEL").await?;
    spawn(parcel(item).lane("eu")).await?.detach();
    send("ORD-2", approval).await?;
    charge(item).await?;
    if item > 7 {
        return continue_as_new(order(item - 1)).await;
    }
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
