#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    macro_rules! greeted {
        ($call:expr) => {
            $call.await?
        };
    }
    let text = greeted!(greet(name));
    drop(greeted!(greet(text)));
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
