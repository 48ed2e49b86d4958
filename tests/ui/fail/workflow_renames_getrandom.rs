use saga_runtime::prelude::*;

mod getrandom {
    pub fn fill(_: &mut [u8]) {}
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use getrandom::fill as draw;
    draw(&mut [0; 4]);
    Ok(())
}

fn main() {}
