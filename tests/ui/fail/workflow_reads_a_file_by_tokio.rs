use saga_runtime::prelude::*;

mod tokio {
    pub mod fs {
        pub async fn read(_: &str) -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = tokio::fs::read("orders").await;
    Ok(())
}

fn main() {}
