use saga_runtime::prelude::*;

#[durable]
async fn helper() -> saga_runtime::Result<()> {
    let _ = std::time::SystemTime::now();
    Ok(())
}

fn main() {}
