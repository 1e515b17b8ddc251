//! A page compressed once, while those who asked for it read along.

use std::io::{self, Write};

use axum::body::Bytes;
use flate2::write::GzEncoder;
use futures::{Stream, stream};
use metrifold_exposition::Coding;
use tokio::sync::watch;

/// Bytes of the page between two looks at what came out; also what a reader gets at once, about.
const STEP_BYTES: usize = 64 * 1_024;
/// Of gzip's nine levels; the next costs half as much time again for a few hundredths.
const GZIP_LEVEL: u32 = 5;
/// Zstandard's own default.
const ZSTD_LEVEL: i32 = 3;

/// The chunks so far.
#[derive(Default)]
struct Progress {
    chunks: Vec<Bytes>,
    is_done: bool,
}

/// A compression under way or done.
pub(crate) struct Compressed {
    progress: watch::Receiver<Progress>,
}

impl Compressed {
    /// Compresses on a thread for such work. Identity is not compressed.
    pub(crate) fn begin(page: Bytes, coding: Coding) -> Compressed {
        let starts = (0..page.len()).step_by(STEP_BYTES);
        let step = move |start| page.slice(start..page.len().min(start + STEP_BYTES));
        Compressed::of_steps(coding, starts.map(step))
    }

    /// As [`Compressed::begin`], of a page in steps: each is asked for when what came of those before is handed over.
    fn of_steps(coding: Coding, steps: impl Iterator<Item = Bytes> + Send + 'static) -> Compressed {
        let (sender, progress) = watch::channel(Progress::default());
        tokio::task::spawn_blocking(move || {
            let done = match coding {
                Coding::Identity => {
                    steps.for_each(|step| hand_over(step, &sender));
                    Ok(())
                }
                Coding::Gzip => gzip(steps, &sender),
                Coding::Zstd => zstd(steps, &sender),
            };
            match done {
                Ok(()) => sender.send_modify(|progress| progress.is_done = true),
                // Readers see a body that breaks off, and no end that is not the end.
                Err(error) => tracing::error!(%error, "a page could not be compressed"),
            }
        });
        Compressed { progress }
    }

    /// All chunks from the first, as they come.
    pub(crate) fn chunks(&self) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        stream::try_unfold((self.progress.clone(), 0), async |(mut progress, at)| {
            let ready = progress.wait_for(|progress| progress.is_done || progress.chunks.len() > at).await;
            let broken = |_| io::Error::other("the compression broke off; the log has the cause");
            let chunk = ready.map_err(broken)?.chunks.get(at).cloned();
            Ok(chunk.map(|chunk| (chunk, (progress, at + 1))))
        })
    }
}

fn gzip(steps: impl Iterator<Item = Bytes>, sender: &watch::Sender<Progress>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    for step in steps {
        encoder.write_all(&step)?;
        hand_over(std::mem::take(encoder.get_mut()), sender);
    }
    hand_over(encoder.finish()?, sender);
    Ok(())
}

fn zstd(steps: impl Iterator<Item = Bytes>, sender: &watch::Sender<Progress>) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    for step in steps {
        encoder.write_all(&step)?;
        hand_over(std::mem::take(encoder.get_mut()), sender);
    }
    hand_over(encoder.finish()?, sender);
    Ok(())
}

fn hand_over(out: impl Into<Bytes>, sender: &watch::Sender<Progress>) {
    let chunk = out.into();
    if !chunk.is_empty() {
        sender.send_modify(|progress| progress.chunks.push(chunk));
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::mpsc, time::Duration};

    use futures::StreamExt;

    use super::*;

    /// How long the last step waits for a reader.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A page that no coding makes so small that it would hold it back whole.
    fn page() -> Vec<u8> {
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let line = |number| format!("requests_total{{path=\"/{:x}\"}} {number}.0\n", spread(number));
        (0..40_000).map(line).collect::<String>().into_bytes()
    }

    fn read(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut reader: Box<dyn Read> = match coding {
            Coding::Identity => Box::new(bytes),
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Coding::Zstd => Box::new(zstd::Decoder::new(bytes).expect("zstd")),
        };
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("a whole page");
        read
    }

    /// Goal: a reader gets the beginning of a page while its end is not compressed yet. Method: the last step is not
    /// given until the reader has the first chunk; if everything were compressed first, it and the reader would wait for each other.
    #[tokio::test]
    async fn the_first_chunk_arrives_before_the_last_is_made() {
        let page = page();
        for coding in [Coding::Gzip, Coding::Zstd] {
            let (has_first, wait) = mpsc::channel();
            let mut steps: Vec<_> = page.chunks(STEP_BYTES).map(Bytes::copy_from_slice).collect();
            let last = steps.pop().expect("several steps");
            let gated = std::iter::once_with(move || {
                wait.recv_timeout(PATIENCE).expect("a reader has the first chunk");
                last
            });
            let compressed = Compressed::of_steps(coding, steps.into_iter().chain(gated));
            let mut chunks = Box::pin(compressed.chunks());
            let mut body = chunks.next().await.expect("a chunk").expect("before the last step").to_vec();
            has_first.send(()).expect("the last step still waits");
            while let Some(chunk) = chunks.next().await {
                body.extend_from_slice(&chunk.expect("the compression goes on"));
            }
            assert_eq!(read(coding, &body), page);
        }
    }
}
