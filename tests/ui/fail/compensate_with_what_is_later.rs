use saga_runtime::Later;
use saga_runtime::prelude::*;

#[activity(compensate = ask_back(item))]
async fn send_out(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity(later)]
async fn ask_back(#[context] cx: &ActivityContext, item: u32) -> saga_runtime::Result<Later<()>> {
    let _ = (cx.token(), item);
    Ok(Later::new())
}

#[activity]
async fn call_back(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow]
async fn lend(item: u32) -> saga_runtime::Result<()> {
    send_out(item).compensate_with(call_back(item)).await?;
    Ok(())
}

fn main() {}
