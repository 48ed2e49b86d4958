use saga_runtime::prelude::*;

struct Approval;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = event::<Approval>().await;
    Ok(())
}

fn main() {}
