use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let clock = || std::time::SystemTime::now();
    let later = async move { clock() };
    later.await;
    let recorded = side_effect(|| std::time::SystemTime::now());
    recorded.await;
    let _ = [7].map(|_| std::time::SystemTime::now());
    Ok(())
}

fn main() {}
