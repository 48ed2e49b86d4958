use saga_runtime::prelude::*;

mod rayon {
    pub fn join<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
        (a(), b())
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::thread::spawn(|| 7);
    std::thread::scope(|_| {});
    let _ = rayon::join(|| 7, || 7);
    Ok(())
}

fn main() {}
