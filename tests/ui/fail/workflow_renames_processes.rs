use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::process::Command as Program;
    let _ = Program::new("ship");
    Ok(())
}

fn main() {}
