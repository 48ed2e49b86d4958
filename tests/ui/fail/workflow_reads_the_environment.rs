use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::env::var("HOME");
    let _ = std::env::args().count();
    let _ = std::process::id();
    Ok(())
}

fn main() {}
