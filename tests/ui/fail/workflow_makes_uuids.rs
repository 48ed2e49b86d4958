use uuid::Uuid;

use saga_runtime::prelude::*;

mod uuid {
    pub struct Uuid;
    impl Uuid {
        pub fn new_v4() -> Self {
            Self
        }
        pub fn now_v7() -> Self {
            Self
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = Uuid::new_v4();
    let _ = uuid::Uuid::now_v7();
    Ok(())
}

fn main() {}
