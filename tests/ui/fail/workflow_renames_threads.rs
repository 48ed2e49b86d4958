use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::thread::spawn as begin;
    begin(|| 7);
    Ok(())
}

fn main() {}
