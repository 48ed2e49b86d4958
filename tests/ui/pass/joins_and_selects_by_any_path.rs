#![deny(warnings)]

use std::time::Duration;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let (a, b) = join!(greet(name.clone()), async { greet(name.clone()).await }).await;
    let (c, d) = saga_runtime::try_join!(greet(a?), greet(b?)).await?;
    let first = saga_runtime::select! {
        text = greet(c) => text,
        () = sleep(Duration::from_secs(60)) => Ok(d),
    };
    drop(first?);
    use saga_runtime::join as both;
    drop(both!(greet(name.clone()), greet(name)).await);
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
