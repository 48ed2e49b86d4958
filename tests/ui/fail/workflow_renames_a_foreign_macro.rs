use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

mod futures {
    #[allow(unused_imports)]
    pub use tokio::join;
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use futures::join as both;
    use tokio as runtime;
    both!(greet(String::new()), greet(String::new()));
    runtime::try_join!(greet(String::new()), greet(String::new()));
    Ok(())
}

fn main() {}
