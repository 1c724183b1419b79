//! The files of unix sockets: who creates, takes over and removes them.
//!
//! Source: Go's `net.UnixListener`, which removes its file when it is closed.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rgrpc::{ServeError, ServerHandle, credentials};
use rgrpc_e2e::{StubClient, StubService, msg, new_channel, new_server, register_stub, soon, text};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// A temporary folder, which is removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("rgrpc-e2e-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a new folder");
        Self(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).expect("the folder").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A file left in the system's folder is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server on a path, which answers with its name.
struct Named {
    handle: ServerHandle,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Named {
    fn serve(name: &'static str, path: &Path) -> Self {
        let mut server = new_server();
        let service =
            StubService::new().unary(move |_| async move { Ok(rgrpc::Response::new(msg(name))) });
        register_stub(&mut server, service).expect("the first");
        Self {
            handle: server.handle(),
            serving: tokio::spawn(server.serve_unix(path)),
        }
    }

    /// Returns the reason why it does not serve.
    async fn refused(self) -> String {
        let served = soon(self.serving).await.expect("no panic");
        let error = served.expect_err("it does not serve");
        assert!(matches!(error, ServeError::Bind(_)), "{error}");
        error.to_string()
    }

    async fn stop(self) {
        self.handle.stop();
        soon(self.serving).await.expect("no panic").expect("served");
    }
}

/// Asks which server answers at a path, on a connection of its own.
async fn answering(path: &Path) -> String {
    let target = format!("unix://{}", path.display());
    let conn = new_channel(target, credentials::insecure()).expect("a valid target");
    let client = StubClient::new(conn);
    let call = client.unary(msg("")).wait_for_ready(true);
    let response = soon(async { call.await }).await.expect("OK");
    text(response.message()).to_owned()
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[tokio::test]
async fn a_server_that_stops_removes_its_socket_file_and_the_next_one_serves() {
    let folder = Folder::new("removes");
    let path = folder.socket();
    for name in ["one", "two"] {
        let server = Named::serve(name, &path);
        assert_eq!(answering(&path).await, name);
        server.stop().await;
        assert_eq!(folder.files(), 0, "after {name}");
    }
}

#[tokio::test]
async fn a_server_whose_future_is_dropped_removes_its_socket_file() {
    let folder = Folder::new("dropped");
    let path = folder.socket();
    let server = Named::serve("one", &path);
    assert_eq!(answering(&path).await, "one");
    server.serving.abort();
    soon(server.serving).await.expect_err("aborted");
    assert_eq!(folder.files(), 0);
}

#[tokio::test]
async fn a_socket_file_that_a_killed_server_has_left_is_taken_over() {
    let folder = Folder::new("stale");
    let path = folder.socket();
    // The standard library leaves the file.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    assert!(is_socket(&path));
    let server = Named::serve("next", &path);
    assert_eq!(answering(&path).await, "next");
    assert_eq!(folder.files(), 1);
    server.stop().await;
    assert_eq!(folder.files(), 0);
}

#[tokio::test]
async fn of_servers_that_take_over_at_the_same_time_one_serves() {
    let folder = Folder::new("race");
    let path = folder.socket();
    for round in 0..5 {
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
        let servers: Vec<_> = (0..4).map(|_| Named::serve("one", &path)).collect();
        assert_eq!(answering(&path).await, "one", "round {round}");
        // The others fail.
        soon(async {
            while servers
                .iter()
                .filter(|server| server.serving.is_finished())
                .count()
                < 3
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for server in servers {
            if server.serving.is_finished() {
                server.refused().await;
            } else {
                server.stop().await;
            }
        }
        assert_eq!(folder.files(), 0, "round {round}");
    }
}

#[tokio::test]
async fn a_socket_on_which_a_server_listens_is_left_alone() {
    let folder = Folder::new("live");
    let path = folder.socket();
    let first = Named::serve("first", &path);
    assert_eq!(answering(&path).await, "first");
    let error = Named::serve("second", &path).refused().await;
    assert!(error.ends_with("another server listens there"), "{error}");
    assert!(error.contains(&*path.to_string_lossy()), "{error}");
    assert_eq!(answering(&path).await, "first");
    first.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new("file");
    let path = folder.socket();
    fs::write(&path, "precious").expect("a file");
    let error = Named::serve("one", &path).refused().await;
    assert!(
        error.ends_with("a file that is no socket is there"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).expect("the file"), "precious");

    // A link is not followed.
    let link = folder.0.join("link");
    let target = folder.0.join("target");
    drop(std::os::unix::net::UnixListener::bind(&target).expect("a free path"));
    std::os::unix::fs::symlink(&target, &link).expect("a link");
    Named::serve("one", &link).refused().await;
    assert!(link.is_symlink());
    assert!(is_socket(&target));
}

#[tokio::test]
async fn a_socket_file_that_another_has_replaced_is_not_removed() {
    let folder = Folder::new("replaced");
    let path = folder.socket();
    let first = Named::serve("first", &path);
    assert_eq!(answering(&path).await, "first");
    fs::remove_file(&path).expect("the socket");
    let _other = UnixListener::bind(&path).expect("a free path");
    first.stop().await;
    assert!(is_socket(&path));
}
