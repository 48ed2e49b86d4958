use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let read = || std::time::SystemTime::now();
    let _ = read();
    Ok(())
}

fn main() {}
