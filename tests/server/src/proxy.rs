//! The way to a server, which is cut at the worst of moments: when a statement has been executed
//! and its answer has not been told. Or statements are held up on it for as long as a test likes.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

const SOCKET: &str = ".s.PGSQL.5432";

/// Stands between clients and the socket of a private server. Each so-many-th answer to the
/// statements that it watches is kept back, and the session ended on both sides.
#[derive(Debug)]
pub struct Proxy {
    folder: tempfile::TempDir,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: PathBuf,
    /// What the texts of the watched statements begin with.
    watched: Vec<String>,
    every: usize,
    answers: AtomicUsize,
    cuts: AtomicUsize,
    /// Whether watched statements are held up, and who waits for the end of that.
    holds: (Mutex<bool>, Condvar),
    held: AtomicUsize,
}

impl Proxy {
    /// A proxy before the server with its socket in this folder.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn before(server: &Path, watched: &[&str], every: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket can be made");
        let state = Arc::new(State {
            server: server.join(SOCKET),
            watched: watched.iter().map(|text| (*text).to_owned()).collect(),
            every,
            answers: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            holds: Default::default(),
            held: AtomicUsize::new(0),
        });
        let of_sessions = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&of_sessions);
                std::thread::spawn(move || session(&state, client));
            }
        });
        Self { folder, state }
    }

    /// Where a database of the server is, by this way.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://saga@/{database}?host={}", self.folder.path().display())
    }

    /// A proxy that cuts nothing, but can [hold up](Self::hold) the watched statements.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn that_holds(server: &Path, watched: &[&str]) -> Self {
        Self::before(server, watched, usize::MAX)
    }

    /// Holds up the watched statements that come from now on, before they reach the server.
    pub fn hold(&self) {
        set(&self.state.holds.0, true);
    }

    /// Lets go what was held up.
    pub fn let_go(&self) {
        set(&self.state.holds.0, false);
        self.state.holds.1.notify_all();
    }

    /// How many statements were held up.
    pub fn held(&self) -> usize {
        self.state.held.load(Ordering::Relaxed)
    }

    /// How many answers were kept back.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

/// What the two directions of a session tell each other: whether a watched statement is under way.
type Watched = Arc<Mutex<bool>>;

fn session(state: &Arc<State>, client: UnixStream) {
    let Ok(server) = UnixStream::connect(&state.server) else { return };
    let under_way = Watched::default();
    if let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) {
        let (state, under_way) = (Arc::clone(state), Arc::clone(&under_way));
        std::thread::spawn(move || requests(&state, &under_way, from, to));
    }
    answers(state, &under_way, server, client);
}

/// Passes on what a client says, and notes when it begins a watched statement.
fn requests(state: &State, under_way: &Watched, mut from: UnixStream, mut to: UnixStream) {
    let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
    // The first message has no type. It is never a wish for encryption: this is a socket.
    let mut next = read_message(&mut from, false);
    while let Some(message) = next {
        let texts: Vec<&[u8]> = message.get(5..).unwrap_or_default().splitn(3, |byte| *byte == 0).collect();
        match (message.first(), &texts[..]) {
            (Some(b'P'), [name, text, ..]) if state.watches(text) => drop(names.insert(name.to_vec())),
            (Some(b'B'), [_, name, ..]) if names.contains(*name) => {
                state.wait_while_held();
                set(under_way, true);
            }
            _ => {}
        }
        if to.write_all(&message).is_err() {
            break;
        }
        next = read_message(&mut from, true);
    }
    cut(&from, &to);
}

/// Passes on what the server says. What it says to a watched statement is gathered until the
/// server is ready for the next: only then the statement's transaction is committed.
fn answers(state: &State, under_way: &Watched, mut from: UnixStream, mut to: UnixStream) {
    let mut gathered = Vec::new();
    while let Some(message) = read_message(&mut from, true) {
        let is_ready = message[0] == b'Z';
        gathered.extend(message);
        if *under_way.lock().unwrap_or_else(PoisonError::into_inner) {
            if !is_ready {
                continue;
            }
            set(under_way, false);
            if state.answers.fetch_add(1, Ordering::Relaxed) % state.every == state.every - 1 {
                state.cuts.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        if to.write_all(&gathered).is_err() {
            break;
        }
        gathered.clear();
    }
    cut(&from, &to);
}

impl State {
    fn wait_while_held(&self) {
        let holds = self.holds.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *holds {
            self.held.fetch_add(1, Ordering::Relaxed);
            drop(self.holds.1.wait_while(holds, |holds| *holds));
        }
    }

    fn watches(&self, text: &[u8]) -> bool {
        self.watched.iter().any(|watched| text.starts_with(watched.as_bytes()))
    }
}

fn set(flag: &Mutex<bool>, value: bool) {
    *flag.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

/// A message with its head: a type, if it has one, and its length.
fn read_message(from: &mut UnixStream, has_type: bool) -> Option<Vec<u8>> {
    let head = if has_type { 5 } else { 4 };
    let mut message = vec![0; head];
    from.read_exact(&mut message).ok()?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().ok()?);
    message.resize(head - 4 + usize::try_from(length).ok()?, 0);
    from.read_exact(&mut message[head..]).ok()?;
    Some(message)
}

fn cut(one: &UnixStream, other: &UnixStream) {
    // It may be cut already.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}
