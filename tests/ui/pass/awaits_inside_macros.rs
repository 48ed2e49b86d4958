//! Awaits within macros, async blocks, closures that return blocks, nested functions left alone.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<Vec<String>> {
    #![allow(clippy::items_after_statements)]
    let texts = vec![greet(name.clone()).await?, format!("{}", greet(name.clone()).await?)];
    assert!(matches!(greet(name.clone()).await, Ok(text) if text == name), "{}", greet(name.clone()).await?);
    let block = async { greet(name.clone()).await };
    block.await?;
    let later = |name: String| async move { greet(name).await };
    later(name.clone()).await?;
    async fn ordinary(name: String) -> String {
        std::future::ready(name).await
    }
    drop(ordinary(name.clone()));
    macro_rules! greeted {
        ($call:expr) => {
            $call.await?
        };
    }
    let f: fn(String) -> String = |text| text;
    let text = greeted!(greet(f(name)));
    let (a, b) = join!(greet(text), async { greet(String::new()).await }).await;
    drop((a?, b?));
    Ok(texts)
}

pub fn main() {
    let _ = saga(String::new());
}
