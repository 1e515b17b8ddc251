//! The one listener: HTTP and gRPC together, over TCP and over a unix socket.

use std::{
    fs::Permissions,
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use metrifold_gate::Gate;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::config::HttpSection;

/// Time for requests that were accepted before a drain. A stream of pushes never ends by itself; its pusher sends what
/// was not acknowledged to the next server.
const REQUEST_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Who may connect to the unix socket: its owner. There is no TLS on it.
const SOCKET_MODE: u32 = 0o600;

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {cause}; {}", address_advice(cause))]
    Address {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The socket's path cannot be used.
    #[error("cannot listen on the unix socket {}: {cause}; {}", path.display(), socket_advice(cause))]
    Socket {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

fn address_advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "stop what listens there, or choose another address with --listen (port 0 takes a free one)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "choose an address of this host with --listen, or 0.0.0.0 for all of them"
        }
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
        _ => "choose another address with --listen",
    }
}

fn socket_advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "a server listens there already; stop it, or choose another path with --unix-socket"
        }
        io::ErrorKind::AlreadyExists => {
            "something that is no socket has that name; choose another path with --unix-socket"
        }
        io::ErrorKind::NotFound => "make its directory first, or choose another path with --unix-socket",
        _ => "choose another path with --unix-socket",
    }
}

/// Bound, and not serving yet.
#[derive(Debug)]
pub struct Listeners {
    tcp: TcpListener,
    unix: Option<UnixListener>,
    socket: Option<PathBuf>,
    address: SocketAddr,
}

impl Listeners {
    /// Binds both. A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// With the address and what to do about it.
    pub async fn bind(settings: &HttpSection) -> Result<Listeners, BindError> {
        let address = settings.listen;
        let failed = |cause| BindError::Address { address, cause };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let bound = tcp.local_addr().map_err(failed)?;
        let unix = match &settings.unix_socket {
            Some(path) => {
                let bound = bind_socket(path).await;
                Some(bound.map_err(|cause| BindError::Socket { path: path.clone(), cause })?)
            }
            None => None,
        };
        Ok(Listeners { tcp, unix, socket: settings.unix_socket.clone(), address: bound })
    }

    /// The TCP address, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves behind `gate` until `drain` is cancelled and every accepted request is answered, or has had its time.
    pub async fn serve(self, gate: Gate, router: Router, drain: CancellationToken) {
        let overtime = async {
            drain.cancelled().await;
            tokio::time::sleep(REQUEST_DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            () = metrifold_gate::serve(gate, self.tcp, self.unix, router, drain.clone()) => {}
            () = overtime => {}
        }
        if let Some(path) = self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if UnixStream::connect(path).await.is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) | Err(_) => bind_private(path),
    }
}

/// Only the owner may connect, from the first moment: the socket is made in a directory that only the owner may enter,
/// and moved to its place, over a dead one, when its permissions stand.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = tempfile::Builder::new().prefix(".m").tempdir_in(parent)?;
    let made = directory.path().join("s");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, Permissions::from_mode(SOCKET_MODE))?;
    std::fs::rename(&made, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(listen: SocketAddr, unix_socket: Option<PathBuf>) -> HttpSection {
        HttpSection { listen, unix_socket }
    }

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let first = Listeners::bind(&section(any_port(), None)).await.expect("a free port");
        let error = Listeners::bind(&section(first.address(), None)).await.expect_err("taken");
        let text = error.to_string();
        assert!(text.contains(&first.address().to_string()) && text.contains("--listen"), "{text}");
    }

    #[tokio::test]
    async fn a_dead_servers_socket_is_replaced_and_a_living_ones_is_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("m.sock");
        let dead = UnixListener::bind(&path).expect("a new socket");
        drop(dead);
        let living = Listeners::bind(&section(any_port(), Some(path.clone()))).await.expect("replaced");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE, "only the owner may connect");
        let error = Listeners::bind(&section(any_port(), Some(path.clone()))).await.expect_err("taken");
        assert!(error.to_string().contains("a server listens there already"), "{error}");
        drop(living);
        std::fs::remove_file(&path).expect("there");
        std::fs::write(&path, "precious").expect("writable");
        let error = Listeners::bind(&section(any_port(), Some(path.clone()))).await.expect_err("no socket");
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
    }
}
