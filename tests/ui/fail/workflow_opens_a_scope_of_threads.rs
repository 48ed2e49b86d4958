use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    std::thread::scope(|_| {});
    Ok(())
}

fn main() {}
