use saga_runtime::prelude::*;

mod rand {
    pub fn thread_rng() -> u64 {
        7
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = rand::thread_rng();
    Ok(())
}

fn main() {}
