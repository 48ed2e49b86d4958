use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Mine;

impl std::fmt::Display for Mine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("mine")
    }
}

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> Result<(), Mine> {
    greet(String::new()).await?;
    Ok(())
}

fn main() {}
