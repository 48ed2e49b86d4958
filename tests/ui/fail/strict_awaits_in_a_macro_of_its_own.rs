use saga_runtime::prelude::*;

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[workflow(strict)]
async fn order() -> saga_runtime::Result<()> {
    macro_rules! looked {
        () => {
            look(7).await?
        };
    }
    let _ = looked!();
    Ok(())
}

fn main() {}
