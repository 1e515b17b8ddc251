//! Worker blob: letter `W`; instance, process, count of labels, then name and value of each.

use metrifold_model::Worker;

use crate::{
    BlobError,
    bytes::{FIRST, Reader, Writer},
};

const WHAT: &str = "a worker blob";

/// Packs the identity of a source.
pub fn encode_worker(worker: &Worker) -> Vec<u8> {
    let mut writer = Writer::blob(b'W', FIRST);
    writer.text(&worker.instance);
    writer.text(&worker.process);
    writer.labels(&worker.labels);
    writer.finish()
}

/// Reads what [`encode_worker`] wrote.
pub fn decode_worker(bytes: &[u8]) -> Result<Worker, BlobError> {
    let (mut reader, _) = Reader::blob(WHAT, b'W', FIRST, bytes)?;
    let worker = Worker { instance: reader.text()?, process: reader.text()?, labels: reader.labels()? };
    reader.end()?;
    Ok(worker)
}

#[cfg(test)]
mod tests {
    use metrifold_model::Labels;

    use super::*;

    #[test]
    fn workers_stay_the_bytes_that_earlier_versions_wrote() {
        let worker =
            Worker { instance: "h".into(), process: "12".into(), labels: Labels::new([("env", "é")]) };
        let golden = b"W\x01\x00\x00\xb5\x29\x15\x96\x01\x00\x00\x00h\x02\x00\x00\x0012\x01\x00\x00\x00\
            \x03\x00\x00\x00env\x02\x00\x00\x00\xc3\xa9";
        assert_eq!(encode_worker(&worker), golden);
        assert_eq!(decode_worker(golden), Ok(worker));
    }
}
