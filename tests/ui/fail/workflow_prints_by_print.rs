use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    print!("packed");
    Ok(())
}

fn main() {}
