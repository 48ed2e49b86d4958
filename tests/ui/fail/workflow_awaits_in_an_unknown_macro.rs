use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

macro_rules! polled {
    ($($call:tt)*) => {
        $($call)*
    };
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = polled!(greet(String::new()).await);
    Ok(())
}

fn main() {}
