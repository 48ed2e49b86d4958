use saga_runtime::prelude::*;

#[activity]
async fn ask(whom: String) -> saga_runtime::Result<bool> {
    Ok(whom.is_empty())
}

async fn on_click(client: &Client, token: &str) -> Result<(), saga_runtime::ClientError> {
    client.complete::<ask>(token, &true).await
}

fn main() {}
