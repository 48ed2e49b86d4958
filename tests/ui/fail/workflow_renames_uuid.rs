use saga_runtime::prelude::*;

mod uuid {
    pub struct Uuid;
    impl Uuid {
        pub fn new_v4() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use uuid::Uuid as Id;
    let _ = Id::new_v4();
    Ok(())
}

fn main() {}
