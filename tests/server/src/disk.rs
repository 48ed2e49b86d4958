//! A disk of its own for a server's tables, small enough to be filled.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::programs::unprivileged;

/// Waits until its standard input ends, then takes the disk away, as soon as no server uses it.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    cat > /dev/null
    tries=0
    until umount "$1" > /dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            umount -l "$1"
            break
        fi
        sleep 0.1
    done
    rmdir "$1"
"#;

/// What fills it.
const FILLER: &str = "filler";

/// A disk in memory. It is gone when it is dropped, or its process has ended.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    guard: Option<(Child, ChildStdin)>,
}

impl SmallDisk {
    /// Mounts one of this size, whose owner is the user that runs servers. Says why if that
    /// cannot be done here: it takes root, and a kernel that lets it.
    ///
    /// # Panics
    ///
    /// If a folder cannot be made.
    pub fn mount(mebibytes: u32) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("saga-disk-").disable_cleanup(true).tempdir();
        let folder = folder.expect("a folder can be made").keep();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(&folder);
        let failed = match mount.output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = failed {
            std::fs::remove_dir(&folder).expect("an empty folder can be removed");
            return Err(why);
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "guard"]).arg(&folder).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut shell = shell.stderr(Stdio::null()).spawn().expect("a shell can be started");
        let input = shell.stdin.take().expect("its input is a pipe");
        unprivileged(&folder);
        Ok(Self { folder, guard: Some((shell, input)) })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fills what is left of it.
    ///
    /// # Panics
    ///
    /// If that fails for another reason than that it is full.
    pub fn fill(&self) {
        let mut filler = std::fs::File::create(self.folder.join(FILLER)).expect("a file can be made");
        let block = [0; 4096];
        loop {
            if let Err(error) = filler.write_all(&block) {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
                return;
            }
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    ///
    /// If it was not filled.
    pub fn make_room(&self) {
        std::fs::remove_file(self.folder.join(FILLER)).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some((mut shell, input)) = self.guard.take() {
            drop(input);
            // The folder is gone when the shell has ended.
            let _ = shell.wait();
        }
    }
}
