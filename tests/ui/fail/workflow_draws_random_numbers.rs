use saga_runtime::prelude::*;

mod rand {
    pub fn random() -> u64 {
        7
    }
    pub fn rng() -> u64 {
        7
    }
    pub fn thread_rng() -> u64 {
        7
    }
    pub mod rngs {
        pub struct OsRng;
    }
}

mod fastrand {
    pub fn u64(_: std::ops::RangeFull) -> u64 {
        7
    }
}

mod getrandom {
    pub fn fill(_: &mut [u8]) {}
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = rand::random();
    let _ = rand::rng();
    let _ = rand::thread_rng();
    let _ = rand::rngs::OsRng;
    let _ = fastrand::u64(..);
    getrandom::fill(&mut [0; 4]);
    Ok(())
}

fn main() {}
