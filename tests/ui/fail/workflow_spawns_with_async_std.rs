use saga_runtime::prelude::*;

mod async_std {
    pub mod task {
        pub fn spawn(_: impl Future) {}
    }
}

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = async_std::task::spawn(async { greet(String::new()).await });
    Ok(())
}

fn main() {}
