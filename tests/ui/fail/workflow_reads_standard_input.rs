use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::io::stdin().lines().count();
    Ok(())
}

fn main() {}
