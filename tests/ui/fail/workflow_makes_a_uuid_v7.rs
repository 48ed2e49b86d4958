use saga_runtime::prelude::*;

mod uuid {
    pub struct Uuid;
    impl Uuid {
        pub fn now_v7() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = uuid::Uuid::now_v7();
    Ok(())
}

fn main() {}
