use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::println as say;
    say!("packed");
    Ok(())
}

fn main() {}
