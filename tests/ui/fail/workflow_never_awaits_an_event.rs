use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize, Event)]
struct Approval;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    event::<Approval>();
    Ok(())
}

fn main() {}
