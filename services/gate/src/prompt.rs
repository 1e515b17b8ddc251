//! A connection whose peer must say something soon.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How HTTP/2 begins. A server that speaks both versions waits until it has seen enough to tell them apart.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Fails reads if the peer has not shown within a time which version of HTTP it speaks. From then on the time limits of
/// that version hold.
#[derive(Debug)]
pub(crate) struct Prompt<S> {
    stream: S,
    /// Octets of the preface so far, and the end of the wait for more.
    waiting: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Prompt<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Prompt { stream, waiting: Some((0, Box::pin(tokio::time::sleep(limit)))) }
    }

    /// Looks at what was read.
    fn heard(&mut self, bytes: &[u8]) {
        if let Some((seen, _)) = &mut self.waiting {
            let rest = &PREFACE[*seen..];
            let is_preface_so_far = bytes.len() < rest.len() && rest.starts_with(bytes);
            *seen += bytes.len().min(rest.len());
            if !is_preface_so_far {
                self.waiting = None;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            read?;
            self.heard(&buffer.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        if let Some((_, limit)) = &mut self.waiting {
            ready!(limit.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_or_only_half_a_preface_is_cut_off() {
        for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\n"] {
            let (mut peer, ours) = duplex(64);
            peer.write_all(said).await.expect("room");
            let mut prompt = Prompt::new(ours, LIMIT);
            let mut heard = Vec::new();
            let error = prompt.read_to_end(&mut heard).await.expect_err("too slow");
            assert_eq!((error.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, said));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_shown_its_version_may_take_its_time() {
        for said in [&b"G"[..], b"PRO", PREFACE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"] {
            let (mut peer, ours) = duplex(64);
            let mut prompt = Prompt::new(ours, LIMIT);
            let (first, rest) = said.split_at(1);
            peer.write_all(first).await.expect("room");
            let mut heard = [0; 64];
            let mut count = prompt.read(&mut heard).await.expect("heard");
            peer.write_all(rest).await.expect("room");
            if !rest.is_empty() {
                count += prompt.read(&mut heard).await.expect("heard");
            }
            assert_eq!(count, said.len());
            let later = tokio::time::timeout(LIMIT * 3, prompt.read(&mut heard)).await;
            assert!(later.is_err(), "{said:?}: {later:?}");
        }
    }
}
