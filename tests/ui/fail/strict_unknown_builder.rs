use saga_runtime::prelude::*;

#[activity(compensate = release(item))]
async fn reserve(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity]
async fn release(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

trait Twice {
    fn twice(self) -> Self;
}

impl<A: saga_runtime::Activity> Twice for saga_runtime::ActivityCall<A> {
    fn twice(self) -> Self {
        self
    }
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    reserve(item).twice().await?;
    Ok(())
}

fn main() {}
