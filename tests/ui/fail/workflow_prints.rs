use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    println!("packed");
    print!("packed");
    eprintln!("packed");
    eprint!("packed");
    let _ = dbg!(7);
    std::println!("packed");
    Ok(())
}

fn main() {}
