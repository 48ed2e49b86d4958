use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    std::thread::spawn(|| 7);
    Ok(())
}

fn main() {}
