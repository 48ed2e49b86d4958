use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

mod futures {
    pub mod executor {
        pub fn block_on<F: Future>(_: F) -> F::Output {
            panic!()
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = futures::executor::block_on(greet(String::new()));
    Ok(())
}

fn main() {}
