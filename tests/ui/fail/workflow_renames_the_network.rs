use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::net::TcpStream as Line;
    let _ = Line::connect("127.0.0.1:80");
    Ok(())
}

fn main() {}
