use saga_runtime::prelude::*;

mod rand {
    pub fn rng() -> u64 {
        7
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = rand::rng();
    Ok(())
}

fn main() {}
