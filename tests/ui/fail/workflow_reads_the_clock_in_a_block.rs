use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = async { std::time::SystemTime::now() }.await;
    Ok(())
}

fn main() {}
