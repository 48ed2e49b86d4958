use saga_runtime::prelude::*;

mod rand {
    pub mod rngs {
        pub struct OsRng;
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = rand::rngs::OsRng;
    Ok(())
}

fn main() {}
