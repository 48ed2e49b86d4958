use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::time::SystemTime::now();
    Ok(())
}

fn main() {}
