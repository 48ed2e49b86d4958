use saga_runtime::prelude::*;

// As those of `anyhow` and `eyre`, it leaves the innermost body.
macro_rules! bail {
    ($message:expr) => {
        return Err(saga_runtime::Error::msg($message))
    };
}

#[activity(compensate = release(item))]
async fn reserve(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity]
async fn release(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let paid: saga_runtime::Result<()> = async {
        let _ = charge(item).await;
        bail!("paid, and then?");
    }
    .await;
    if paid.is_err() {
        reserve(item).await?;
    }
    Ok(())
}

fn main() {}
