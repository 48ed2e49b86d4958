use saga_runtime::prelude::*;

struct Http;

impl Http {
    async fn get(&self, url: &str) -> String {
        url.to_owned()
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    Http.get("https://example.com/rates").await;
    Ok(())
}

fn main() {}
