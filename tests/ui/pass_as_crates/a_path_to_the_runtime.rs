//! `crate = path`: through another crate's re-export, and under another name.
#![deny(warnings, missing_docs, clippy::pedantic)]

extern crate saga_runtime as sr;

mod framework {
    pub mod saga {
        pub use saga_runtime::*;
    }
}

use serde::{Deserialize, Serialize};
use sr::{ActivityError, Error};

#[sr::activity(crate = crate::framework::saga, compensate = forget(output, name))]
async fn greet(#[context] cx: &sr::ActivityContext, name: String) -> sr::Result<String> {
    Ok(format!("Hello {name}, {}", cx.attempt()))
}

#[sr::activity(crate = sr)]
async fn forget(greeting: String, name: String) -> sr::Result<()> {
    drop((greeting, name));
    Ok(())
}

#[sr::workflow(crate = ::sr)]
async fn saga(name: String) -> sr::Result<()> {
    helper(&name).await?;
    async { greet(name.clone()).await }.await?;
    Ok(())
}

#[sr::durable(crate = sr)]
async fn helper(name: &str) -> Result<String, ActivityError<Error>> {
    greet(name.to_owned()).await
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, sr::Classify)]
#[classify(crate = sr)]
enum Failure {
    #[error("busy")]
    #[transient(retry_after = 0)]
    Busy(Option<std::time::Duration>),
}

#[derive(Serialize, Deserialize, sr::Event)]
#[event(crate = crate::framework::saga, name = "approved")]
struct Approval;

fn main() {
    use sr::Classify as _;
    let _ = saga(String::new());
    let wait = std::time::Duration::from_secs(1);
    let class = sr::Class::Transient { no_effect: false, retry_after: Some(wait) };
    assert_eq!(Failure::Busy(Some(wait)).class(), class);
    assert_eq!(<Approval as sr::Event>::NAME, "approved");
}
