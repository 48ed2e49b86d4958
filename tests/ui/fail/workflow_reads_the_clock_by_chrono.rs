use saga_runtime::prelude::*;

mod chrono {
    pub struct Utc;
    impl Utc {
        pub fn now() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = chrono::Utc::now();
    Ok(())
}

fn main() {}
