//! The unix socket of `Server::serve_unix` and `serve_unix_abstract`, and its file.
//!
//! Bound by those functions; called by their accept loop.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{self, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

use crate::io::{Address, Connected, Listener};

/// The time after which a socket file that refuses connections is retried: a server that has
/// created it a moment ago listens by then.
const SETTLING: Duration = Duration::from_millis(20);

/// A unix socket with a file of its own, which is removed with the listener.
#[derive(Debug)]
pub(super) struct UnixSocket {
    /// Before the listener, because fields are dropped in order: no client that finds the file is
    /// refused.
    _file: Option<SocketFile>,
    listener: UnixListener,
}

impl UnixSocket {
    /// Listens on a path, or on an abstract name, which begins with a zero byte. Takes over the
    /// socket file of a dead server; see [`remove_stale`].
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().first() == Some(&0) {
            return Ok(Self {
                _file: None,
                listener: UnixListener::bind(path)?,
            });
        }
        let path = path::absolute(path)?;
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(&path).await?;
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        Ok(Self {
            _file: Some(SocketFile::of(path)?),
            listener,
        })
    }
}

impl Listener for UnixSocket {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        Listener::accept(&mut self.listener).await
    }

    fn local_address(&self) -> Address {
        self.listener.local_address()
    }
}

/// A socket file that a server has created. Dropping it removes it, if it is still the same.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// The identity of a file, to distinguish it from a later file at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Needed because inodes are reused.
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl SocketFile {
    fn of(path: PathBuf) -> io::Result<Self> {
        let identity = Identity::of(&fs::symlink_metadata(&path)?);
        Ok(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| Identity::of(&found) == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket file is left behind");
        }
    }
}

/// Removes the file at a path, if it is a socket on which nobody listens.
///
/// # Errors
/// Somebody listens, or it is another kind of file. The file stays.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |problem: &str| {
        let text = format!("{}: {problem}", path.display());
        io::Error::new(io::ErrorKind::AddrInUse, text)
    };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // It was removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(in_use("a file that is no socket is there"));
    }
    for settling in [Duration::ZERO, SETTLING] {
        sleep(settling).await;
        match UnixStream::connect(path)
            .await
            .map_err(|error| error.kind())
        {
            Err(io::ErrorKind::ConnectionRefused) => {}
            Err(io::ErrorKind::NotFound) => return Ok(()),
            _ => return Err(in_use("another server listens there")),
        }
    }
    // Another server may take the file over at the same time. The first to move it away has it; a
    // file that the other has created since is put back.
    let aside = aside(path);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved?,
    }
    let moved = Identity::of(&fs::symlink_metadata(&aside)?);
    if moved == Identity::of(&metadata) {
        return fs::remove_file(&aside);
    }
    let put_back = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    put_back?;
    Err(in_use("another server listens there"))
}

/// A path beside this one that no other takeover uses.
fn aside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".stale-{}-{count}", std::process::id()));
    aside.into()
}
