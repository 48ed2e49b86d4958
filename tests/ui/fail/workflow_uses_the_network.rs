use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::net::TcpStream::connect("shop:80");
    let _ = std::net::UdpSocket::bind("[::]:0");
    Ok(())
}

fn main() {}
