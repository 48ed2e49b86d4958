use saga_runtime::prelude::*;

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, Classify)]
enum PostError {
    #[error("no such address")]
    #[permanent]
    NoAddress,
    #[error("the post is slow")]
    Slow,
}

#[activity(retriable)]
async fn ship(item: u32) -> Result<(), PostError> {
    if item > 1 { Err(PostError::Slow) } else { Err(PostError::NoAddress) }
}

fn main() {}
