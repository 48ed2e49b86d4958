use saga_runtime::prelude::*;

#[durable]
async fn pause() {
    sleep(std::time::Duration::from_secs(60)).await;
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    pause();
    Ok(())
}

fn main() {}
