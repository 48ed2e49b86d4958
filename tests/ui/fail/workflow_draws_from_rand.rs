use saga_runtime::prelude::*;

mod rand {
    pub fn random() -> u64 {
        7
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = rand::random();
    Ok(())
}

fn main() {}
