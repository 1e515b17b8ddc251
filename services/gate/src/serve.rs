//! Connections: accepted, made of TLS, served, drained.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::uri::Scheme};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use crate::{Gate, credentials::Origin, prompt::Prompt, tls::Tls};

/// Longest time for a peer to finish its TLS handshake, and again until it has shown which HTTP it speaks.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at once: each may hold some 20 kB; more wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 256;
/// Connections at once: a worker that pushes for itself holds one.
const CONNECTIONS_MAX: usize = 16_384;
/// Longest time between the requests of an HTTP/1 connection, and for one request's head: longer than the usual
/// intervals between scrapes, which would else need a new connection each.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time to let a peer whose handshake failed read why.
const PARTING_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest head of a request.
const HEAD_BYTES_MAX: u16 = u16::MAX;
/// Calls at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How often an HTTP/2 peer is asked whether it is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Pause after the system has refused to accept, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// What a TLS record of a handshake begins with.
const HANDSHAKE_RECORD: u8 = 0x16;
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks TLS: use https://\n";

/// Serves `router` behind `gate` on both listeners until `drain` is cancelled and every accepted request is answered.
/// TLS is for TCP; on the unix socket the file's permissions stand for it. Credentials are asked for on both. Each request
/// carries the [`Scheme`] that it came by as an extension.
pub async fn serve(
    gate: Gate,
    tcp: TcpListener,
    unix: Option<UnixListener>,
    router: Router,
    drain: CancellationToken,
) {
    let router = gate.guard(router);
    let server = Arc::new(Server {
        gate,
        router,
        drain: drain.clone(),
        tasks: TaskTracker::new(),
        connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
    });
    let accepting = async {
        match unix {
            Some(unix) => drop(tokio::join!(server.accept_tcp(&tcp), server.accept_unix(&unix))),
            None => server.accept_tcp(&tcp).await,
        }
    };
    tokio::select! {
        () = drain.cancelled() => {}
        () = accepting => {}
    }
    drop(tcp);
    server.tasks.close();
    server.tasks.wait().await;
}

struct Server {
    gate: Gate,
    router: Router,
    drain: CancellationToken,
    tasks: TaskTracker,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// Waits for room. The semaphores are never closed.
async fn room(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    semaphore.clone().acquire_owned().await.ok()
}

impl Server {
    async fn accept_tcp(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let (place, handshake) = (room(&self.connections).await, room(&self.handshakes).await);
            let Some((stream, peer)) = accepted(listener.accept().await).await else { continue };
            let server = self.clone();
            self.tasks.spawn(async move {
                let _place = place;
                server.serve_tcp(stream, peer, handshake).await;
            });
        }
    }

    async fn accept_unix(self: &Arc<Self>, listener: &UnixListener) {
        loop {
            let place = room(&self.connections).await;
            let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
            let server = self.clone();
            self.tasks.spawn(async move {
                let _place = place;
                let stream = Prompt::new(stream, HANDSHAKE_TIMEOUT);
                server.serve_http(stream, Scheme::HTTP, Origin::Socket, true).await;
            });
        }
    }

    async fn serve_tcp(&self, stream: TcpStream, peer: SocketAddr, handshake: Option<OwnedSemaphorePermit>) {
        // Answers of a few bytes must not wait for the other side's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let rules = self.gate.rules().await;
        let origin = Origin::from(peer.ip());
        let Some(tls) = &rules.tls else {
            drop(handshake);
            let stream = Prompt::new(stream, HANDSHAKE_TIMEOUT);
            return self.serve_http(stream, Scheme::HTTP, origin, true).await;
        };
        let made = timeout(HANDSHAKE_TIMEOUT, shake_hands(tls, stream)).await;
        drop(handshake);
        let made = made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let result = if made.is_ok() { "ok" } else { "failed" };
        self.gate.metrics().handshakes.with_label_values(&[result]).inc();
        match made {
            Ok(stream) => {
                let http2 = tls.http2;
                drop(rules);
                let stream = Prompt::new(stream, HANDSHAKE_TIMEOUT);
                self.serve_http(stream, Scheme::HTTPS, origin, http2).await;
            }
            Err(error) => {
                if self.gate.may_log() {
                    tracing::warn!(%peer, result, %error, "a TLS handshake failed");
                }
            }
        }
    }

    async fn serve_http<S>(&self, stream: S, scheme: Scheme, origin: Origin, http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(origin);
            request.extensions_mut().insert(scheme.clone());
            // A router is always ready.
            router.clone().call(request.map(Body::new))
        });
        let builder = builder(http2);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

/// Both versions of HTTP, or only the first, with bounds on what a peer may hold.
fn builder(http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX.into());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX.into())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL);
    if http2 { builder } else { builder.http1_only() }
}

async fn shake_hands(tls: &Tls, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first[0] != HANDSHAKE_RECORD {
        // Whoever typed http:// is told so; in words, since this is no TLS alert that it could read.
        stream.write_all(NOT_TLS).await?;
        part(stream).await;
        return Err(io::Error::other("the client does not speak TLS"));
    }
    let made = TlsAcceptor::from(tls.config.clone()).accept(stream).into_fallible().await;
    match made {
        Ok(stream) => Ok(stream),
        Err((error, stream)) => {
            part(stream).await;
            Err(error)
        }
    }
}

/// Lets the last words reach the peer. It may have sent a request already, and a socket that is closed with something
/// unread in it is reset, which throws away the alert that says why.
async fn part(mut stream: TcpStream) {
    let listening = async {
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(HEAD_BYTES_MAX.into());
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whether it listened is its own affair.
    let _ = timeout(PARTING_TIMEOUT, listening).await;
}

/// What was accepted; after a failure of the system, not of the peer, a pause.
async fn accepted<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(stream) => Some(stream),
        Err(error) => {
            use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
            if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
                tracing::error!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}
