//! A way to the server that can be cut at the commit of a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use saga_postgres::PostgresStore;
use saga_postgres::tokio_postgres::config::Host;
use saga_test_server::shared;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// When the way is cut next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before a commit reaches the server.
    Before = 1,
    /// After the server has answered a commit, before the answer arrives.
    After = 2,
    /// The same of a commit that begins another transaction.
    AfterBegin = 3,
    /// Not at all: the next `BEGIN` is one that the server does not understand.
    Garbled = 4,
    /// Not at all: all that the server says arrives in single bytes.
    Crumbled = 5,
}

/// The proxy, and what it does next.
pub(crate) struct Proxy {
    pub(crate) url: String,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = PostgresStore::config(&shared().url()).unwrap();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        let password = config.get_password().map(|word| format!(":{}", String::from_utf8_lossy(word)));
        let url = format!("postgres://{user}{}@127.0.0.1:{port}/{database}", password.unwrap_or_default());
        let cut = Arc::new(AtomicU8::new(0));
        let (host, server_port) = (config.get_hosts()[0].clone(), *config.get_ports().first().unwrap_or(&5432));
        let of = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (host, cut) = (host.clone(), Arc::clone(&of));
                tokio::spawn(async move {
                    match host {
                        Host::Tcp(name) => {
                            let server = TcpStream::connect((name.as_str(), server_port)).await.unwrap();
                            pass(client, server, &cut).await;
                        }
                        Host::Unix(folder) => {
                            let socket = folder.join(format!(".s.PGSQL.{server_port}"));
                            pass(client, UnixStream::connect(socket).await.unwrap(), &cut).await;
                        }
                    }
                });
            }
        });
        Self { url, cut }
    }

    /// Cuts the next session that commits a transaction.
    pub(crate) fn cut_next(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::Relaxed);
    }

    /// Whether the session was cut.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed) == 0
    }
}

/// Passes bytes on until one side ends, or until it is to be cut.
async fn pass(mut client: TcpStream, mut server: impl AsyncRead + AsyncWrite + Unpin, cut: &AtomicU8) {
    let (mut out, mut back) = (vec![0; 65_536], vec![0; 65_536]);
    let mut deaf = false;
    client.set_nodelay(true).unwrap();
    loop {
        tokio::select! {
            read = client.read(&mut out) => {
                let sent = &mut out[..read.unwrap_or(0)];
                if sent.is_empty() {
                    return;
                }
                let begin = sent.windows(16).position(|part| part == b"BEGIN READ WRITE");
                if let Some(begin) = begin.filter(|_| cut.compare_exchange(4, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()) {
                    sent[begin] = b'X';
                }
                let sent = &*sent;
                let sends = |text: &[u8]| sent.windows(text.len()).any(|part| part == text);
                match cut.load(Ordering::Relaxed) {
                    1 if sends(b"COMMIT\0") => {
                        cut.store(0, Ordering::Relaxed);
                        return;
                    }
                    2 if sends(b"COMMIT\0") => deaf = true,
                    3 if sends(b"COMMIT; BEGIN") => deaf = true,
                    _ => {}
                }
                if deaf {
                    cut.store(0, Ordering::Relaxed);
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut back) => {
                let answer = &back[..read.unwrap_or(0)];
                // The answers to the append and to the commit come one by one, or at once.
                let committed = answer.windows(7).any(|part| part == b"COMMIT\0" || part == b"ROLLBAC");
                if answer.is_empty() || (deaf && committed) {
                    return;
                }
                let size = if cut.load(Ordering::Relaxed) == Cut::Crumbled as u8 { 1 } else { answer.len() };
                for part in answer.chunks(size).filter(|_| !deaf) {
                    if client.write_all(part).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
