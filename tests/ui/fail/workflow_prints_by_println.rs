use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    println!("packed");
    Ok(())
}

fn main() {}
