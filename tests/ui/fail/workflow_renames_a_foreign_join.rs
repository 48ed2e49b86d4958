use saga_runtime::prelude::*;

mod futures {
    #[allow(unused_imports)]
    pub use tokio::{join, select, try_join};
}

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use futures::join as both;
    both!(greet(String::new()), greet(String::new()));
    Ok(())
}

fn main() {}
