use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::process::Command::new("ship");
    Ok(())
}

fn main() {}
