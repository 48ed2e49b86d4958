//! A folder as an object store.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::blob_store::{BlobFuture, BlobKey, BlobStore, Listed};

/// Where files are written before they have their names.
const UNFINISHED: &str = ".unfinished";

/// After this time nobody writes at an unfinished file any more.
const ABANDONED: Duration = Duration::from_secs(86_400);

/// A folder: a file for each object, in a folder for each execution. For one machine, or a network file
/// system that all workers see.
///
/// A file is flushed and has its name only when it is whole; the flushes are those of the file and of
/// its folder. Files are read and written on the runtime's threads for what blocks.
#[derive(Debug, Clone)]
pub struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// The folder at this path. It is made if it is not there, and what a crash left unfinished in it a
    /// day ago or more is deleted.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made or read.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let root = path.into();
        let unfinished = root.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        let abandoned = SystemTime::now() - ABANDONED;
        for file in fs::read_dir(unfinished)? {
            let file = file?;
            if file.metadata().and_then(|found| found.modified()).is_ok_and(|modified| modified < abandoned) {
                absent_is_fine(fs::remove_file(file.path()))?;
            }
        }
        Ok(Self { root: root.into() })
    }

    /// Runs what blocks elsewhere.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> BlobFuture<'static, T> {
        let root = Arc::clone(&self.root);
        Box::pin(async move { Ok(tokio::task::spawn_blocking(move || work(&root)).await??) })
    }
}

impl BlobStore for Directory {
    fn put(&self, key: BlobKey, bytes: Bytes) -> BlobFuture<'_, ()> {
        self.run(move |root| put(root, key, &bytes))
    }

    fn get(&self, key: BlobKey) -> BlobFuture<'_, Option<Bytes>> {
        self.run(move |root| match fs::read(path(root, key)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            // A folder that is not mounted has no objects either, and says nothing of them.
            Err(error) if error.kind() == ErrorKind::NotFound && root.join(UNFINISHED).is_dir() => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn delete(&self, key: BlobKey) -> BlobFuture<'_, ()> {
        self.run(move |root| {
            absent_is_fine(fs::remove_file(path(root, key)))?;
            // Not if it has other objects.
            let _ = fs::remove_dir(root.join(key.execution.to_string()));
            Ok(())
        })
    }

    fn list(&self, after: Option<BlobKey>, limit: usize) -> BlobFuture<'_, Vec<Listed>> {
        self.run(move |root| list(root, after, limit))
    }
}

fn path(root: &Path, key: BlobKey) -> PathBuf {
    root.join(key.execution.to_string()).join(key.blob.to_string())
}

fn put(root: &Path, key: BlobKey, bytes: &[u8]) -> io::Result<()> {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let unfinished = root.join(UNFINISHED).join(format!("{}-{}-{number}", key.blob, std::process::id()));
    let written = write(&unfinished, bytes).and_then(|()| {
        let folder = root.join(key.execution.to_string());
        fs::create_dir_all(&folder)?;
        fs::rename(&unfinished, path(root, key))?;
        flush_folder(&folder)?;
        flush_folder(root)
    });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// So that the name of a file in it outlives a loss of power. Other systems cannot open a folder.
fn flush_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn list(root: &Path, after: Option<BlobKey>, limit: usize) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for execution in names(root)? {
        if after.is_some_and(|after| execution < after.execution.to_string()) {
            continue;
        }
        for blob in names(&root.join(&execution))? {
            // What is not named so is not ours.
            let Ok(key) = format!("{execution}/{blob}").parse::<BlobKey>() else { continue };
            if after.is_some_and(|after| key <= after) {
                continue;
            }
            match fs::metadata(path(root, key)).and_then(|file| file.modified()) {
                Ok(put_at) => listed.push(Listed { key, put_at }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if listed.len() >= limit {
                return Ok(listed);
            }
        }
    }
    Ok(listed)
}

/// What is in a folder, in order; nothing if it is not there any more, or is none.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
